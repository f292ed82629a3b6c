//! Seconds of the loss kernels, as JSON. `scripts/bench_loss.sh` runs them beside PyTorch and prints the
//! ratios.

use std::{hint::black_box, time::Instant};

use gemm::{Parallelism, gemm};
use longtail_draw::{Purpose, unit};
use longtail_loss::{
    AcslConfig, Background, ClassContext, DrawKey, FocalConfig, LossConfig, LossMethod, LossState,
    RoiTargets, SigmoidBceConfig, SingleWorker, fused::LinearLayer,
};
use rayon::prelude::*;
use serde_json::{Map, Value, json};

/// Counts bytes in use, for the extra memory of a kernel.
struct Counting;

static IN_USE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
static PEAK: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

// SAFETY: passes every call on to another allocator.
unsafe impl std::alloc::GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        use std::sync::atomic::Ordering::Relaxed;
        let now = IN_USE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: std::alloc::Layout) {
        IN_USE.fetch_sub(layout.size(), std::sync::atomic::Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { mimalloc::MiMalloc.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WIDTH: usize = 1024;

fn main() {
    let mut results = Map::new();
    results.insert("threads".into(), rayon::current_num_threads().into());
    results.insert("gemm_gflops".into(), gemm_peak().into());
    results.insert("stream_gbytes".into(), stream().into());
    for (rows, columns) in [(512, 81), (1024, 1231), (8192, 1231), (512, 13_205)] {
        for head in ["converged", "fresh"] {
            results.insert(format!("{rows}x{columns} {head}"), from_logits(rows, columns, head));
        }
    }
    for (rows, columns) in [(512, 81), (1024, 1231), (8192, 1231), (512, 13_205)] {
        results.insert(format!("{rows}x{columns} linear"), linear(rows, columns));
    }
    println!("{}", Value::Object(results));
}

/// Median seconds of about a second of repeats, after a warm-up.
fn timed(mut run: impl FnMut()) -> f64 {
    let began = Instant::now();
    run();
    run();
    let repeats = (2.0 / began.elapsed().as_secs_f64()).clamp(5.0, 400.0) as usize;
    let mut seconds: Vec<f64> = (0..repeats)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// About normal, from the counter-based generator.
fn normal(purpose: u64, count: usize) -> Vec<f32> {
    (0..count as u64)
        .map(|i| {
            let sum: f64 =
                (0..4).map(|part| unit(DrawKey::default(), Purpose::Custom.at(purpose), i * 4 + part)).sum();
            ((sum - 2.0) * 3.0_f64.sqrt()) as f32
        })
        .collect()
}

/// Three quarters background, as a detector samples them.
fn targets(rows: usize, classes: usize) -> RoiTargets {
    let label = |n: usize| if n.is_multiple_of(4) { (n * 37 % classes) as u32 + 1 } else { 0 };
    RoiTargets::new(&(0..rows).map(label).collect::<Vec<_>>(), classes, DrawKey::default())
        .expect("labels fit")
}

/// A converged head is far below ξ but on the true class; a fresh one is around 0.
fn logits(rows: usize, columns: usize, head: &str, targets: &RoiTargets) -> Vec<f32> {
    let mut z = normal(1, rows * columns);
    let (size, mean) = if head == "converged" { (1.5, -7.0) } else { (0.1, 0.0) };
    z.iter_mut().for_each(|z| *z = *z * size + mean);
    if head == "converged" {
        for (row, &label) in targets.labels().iter().enumerate() {
            z[row * columns + label as usize] += 9.0;
        }
    }
    z
}

fn from_logits(rows: usize, columns: usize, head: &str) -> Value {
    let classes = columns - 1;
    let counts: Vec<u64> = (0..classes as u64).map(|c| 1 + c * c % 3000).collect();
    let context = ClassContext { image_counts: Some(&counts), ..ClassContext::new(classes) };
    let targets = targets(rows, classes);
    let z = logits(rows, columns, head, &targets);
    let acsl = |background| LossConfig::Acsl(AcslConfig { background, ..AcslConfig::default() });
    let mut times = Map::new();
    for (name, config) in [
        ("acsl adaptive", acsl(Background::Adaptive)),
        ("acsl frequency-sampled", acsl(Background::FrequencySampled)),
        ("bce", LossConfig::SigmoidBce(SigmoidBceConfig { background_logit: true })),
        ("focal", LossConfig::Focal(FocalConfig { background_logit: true, ..FocalConfig::default() })),
        ("softmax", LossConfig::default()),
    ] {
        let loss = config.build(&context).expect("settings are valid");
        let seconds = timed(|| {
            black_box(
                loss.evaluate(black_box(&z), &targets, &LossState::default(), &SingleWorker).expect("fits"),
            );
        });
        times.insert(name.into(), seconds.into());
    }
    Value::Object(times)
}

fn linear(rows: usize, columns: usize) -> Value {
    let classes = columns - 1;
    let targets = targets(rows, classes);
    let config = AcslConfig { background: Background::Adaptive, ..AcslConfig::default() };
    let loss = config.build(&ClassContext::new(classes)).expect("settings are valid");
    // Features and weights that give a converged head: logits around -7, the true class above ξ.
    let inputs = normal(2, rows * WIDTH);
    let mut weight = normal(3, columns * WIDTH);
    weight.iter_mut().for_each(|w| *w *= 1.5 / (WIDTH as f32).sqrt());
    let bias = vec![-7.0; columns];
    let layer =
        LinearLayer { inputs: &inputs, weight: &weight, bias: &bias, width: WIDTH, frozen_inputs: false };
    let evaluate =
        |layer, targets| loss.evaluate_linear(layer, targets, &LossState::default(), &SingleWorker);
    let mut kept = 0;
    let fused = timed(|| kept = black_box(evaluate(layer, &targets).expect("fits")).kept);
    use std::sync::atomic::Ordering::Relaxed;
    let before = IN_USE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let found = evaluate(layer, &targets).expect("fits");
    let outputs = 4 * (found.inputs.len() + found.weight.len() + found.bias.len());
    let extra = PEAK.load(Relaxed).saturating_sub(before + outputs);
    let product = timed(|| {
        black_box(multiply(&inputs, &weight, rows, columns, WIDTH));
    });
    json!({
        "fused": fused, "forward_product": product, "kept": kept,
        "extra_memory_share": extra as f64 / (rows * columns * 4) as f64,
    })
}

/// `A·Bᵀ` over all cores, as the rival to beat in the forward pass.
fn multiply(a: &[f32], b: &[f32], m: usize, n: usize, k: usize) -> Vec<f32> {
    const ROWS: usize = 256;
    let mut c = vec![0.0; m * n];
    c.par_chunks_mut(ROWS * n).enumerate().for_each(|(task, c)| {
        let a = &a[task * ROWS * k..];
        // SAFETY: A has rows of k values, Bᵀ columns of k values, C rows of n values.
        unsafe {
            gemm(
                c.len() / n,
                n,
                k,
                c.as_mut_ptr(),
                1,
                n as isize,
                false,
                a.as_ptr(),
                1,
                k as isize,
                b.as_ptr(),
                k as isize,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    });
    c
}

/// Best of a large square product, GFLOP/s.
fn gemm_peak() -> f64 {
    let size = 1536;
    let (a, b) = (normal(4, size * size), normal(5, size * size));
    let seconds = timed(|| {
        black_box(multiply(&a, &b, size, size, size));
    });
    2.0 * (size as f64).powi(3) / seconds / 1e9
}

/// Reading and writing memory far larger than any cache, GB/s.
fn stream() -> f64 {
    let from = vec![1.0_f32; 1 << 26];
    let mut to = vec![0.0_f32; 1 << 26];
    let seconds = timed(|| {
        to.par_chunks_mut(1 << 16)
            .zip(from.par_chunks(1 << 16))
            .for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&to);
    });
    2.0 * 4.0 * (1 << 26) as f64 / seconds / 1e9
}
