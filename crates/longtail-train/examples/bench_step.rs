//! Seconds of ResNet-50 forward + backward at 2 × 3 × 320 × 320 and of the demo's training step, as JSON.
//!
//! `scripts/bench_step.sh` runs it beside PyTorch and prints the ratios.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use longtail_data::Targets;
use longtail_detect::{
    ImageBatch,
    backbone::ResNetConfig,
    layers::{Initializer, Normalization},
};
use longtail_head::SgdConfig;
use longtail_loss::{ClassContext, DrawKey, LossConfig, Reduction};
use longtail_train::{Recipe, sgd::Sgd};
use serde_json::{Value, json};

/// As the binary `longtail`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPEATS: usize = 10;
const WARM_UP: usize = 3;
const SIDE: usize = 160;
const IMAGES: usize = 8;
const CLASSES: usize = 40;
const RECIPE: &str = include_str!("../../../configs/demo.toml");

fn main() {
    let device = Device::flex().autodiff();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let result = json!({"threads": threads, "resnet50": resnet50(&device), "demo-step": demo_step(&device)});
    println!("{result}");
}

fn timed(mut step: impl FnMut()) -> Value {
    let mut seconds: Vec<f64> = (0..WARM_UP + REPEATS)
        .map(|_| {
            let began = Instant::now();
            step();
            began.elapsed().as_secs_f64()
        })
        .skip(WARM_UP)
        .collect();
    seconds.sort_by(f64::total_cmp);
    json!({"min": seconds[0], "median": seconds[seconds.len() / 2]})
}

fn resnet50(device: &Device) -> Value {
    let config =
        ResNetConfig { normalization: Normalization::Batch, frozen_stages: 0, ..ResNetConfig::default() };
    let network = config.init(&mut Initializer::new(0, device));
    let images = Tensor::<4>::random([2, 3, 320, 320], Distribution::Uniform(0.0, 1.0), device);
    timed(|| {
        let [_, _, _, c5] = network.forward(images.clone());
        drop(c5.sum().backward());
    })
}

fn demo_step(device: &Device) -> Value {
    let recipe = Recipe::parse(RECIPE, &[]).expect("the demo's recipe is valid");
    let loss = LossConfig::default();
    let loss = loss.build(&ClassContext::new(CLASSES)).expect("softmax builds");
    let mut detector = recipe.detector.init(CLASSES, CLASSES + 1, 0, device);
    let images = ImageBatch {
        pixels: Tensor::random([IMAGES, 3, SIDE, SIDE], Distribution::Normal(0.0, 1.0), device),
        sizes: vec![[SIDE as u32; 2]; IMAGES],
    };
    let targets: Vec<Targets> = (0..IMAGES)
        .map(|image| Targets {
            boxes: (0..6)
                .map(|i| {
                    let (x, y) = ((i * 37 + image * 11) as f32 % 96.0, (i * 53 + image * 29) as f32 % 96.0);
                    [x, y, x + 16.0 + 6.0 * i as f32, y + 16.0 + 5.0 * i as f32]
                })
                .collect(),
            labels: (0..6).map(|i| ((i * 7 + image) % CLASSES) as u32).collect(),
            ..Targets::default()
        })
        .collect();
    let (mut sgd, config) = (Sgd::default(), SgdConfig::default());
    let mut step = 0;
    timed(|| {
        let draw = DrawKey { seed: 0, step };
        step += 1;
        let output =
            detector.forward_train(&images, &targets, loss.as_ref(), &[], Reduction::default(), draw);
        let gradients = output.expect("the loss fits the detector").losses.total().backward();
        (detector, _) = sgd.step(&config, 0.001, detector.clone(), gradients).expect("gradients are finite");
    })
}
