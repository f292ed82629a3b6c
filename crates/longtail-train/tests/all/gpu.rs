//! Training, detecting and making banks on a GPU, against the same on the processor. Needs a build with `cuda`, `vulkan` or `wgpu`
//! and a device; without one the tests say so and do nothing.
use std::path::Path;

use crate::common::{TINY, options, two_stages};
use burn::tensor::Device;
use longtail_bank::{Bank, Precision};
use longtail_data::RgbImage;
use longtail_ops::device::is_processor;
use longtail_run::{MetricsLog, Record, RunFolder, Silent, StepRecord};
use longtail_train::{
    DeviceChoice, Predictor, Recipe,
    bank::{FeatureSource, extract},
    run,
};

/// The GPU under test, or a message that there is none.
fn gpu() -> Option<Device> {
    let name = std::env::var("LONGTAIL_TEST_DEVICE").unwrap_or_else(|_| "auto".into());
    let device = name.parse::<DeviceChoice>().unwrap().open().unwrap();
    if is_processor(&device) {
        eprintln!("no GPU was found: skipped");
        return None;
    }
    Some(device)
}

fn steps(path: &Path) -> Vec<StepRecord> {
    let records = MetricsLog::read(&path.join("metrics.jsonl")).unwrap();
    let step = |record| if let Record::Step(step) = record { Some(step) } else { None };
    records.into_iter().filter_map(step).collect()
}

fn train(recipe: &Recipe, path: &Path, device: &Device) {
    run(recipe, &RunFolder::open(path, false).unwrap(), false, device, "test", &mut Silent).unwrap();
}

#[test]
fn a_run_begins_and_ends_as_on_the_processor() {
    let Some(gpu) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [on_gpu, on_processor] = ["gpu", "processor"].map(|name| folder.path().join(name));
    // The kernel of the loss in the first stage, the host's losses in the second.
    let recipe = two_stages(&[
        r#"stages.0.classifiers=[{ name = "ACSL", loss = { kind = "acsl" } }]"#,
        r#"stages.1.classifiers=[{ name = "ACSL", loss = { kind = "acsl" } }]"#,
    ]);
    train(&recipe, &on_gpu, &gpu);
    train(&recipe, &on_processor, &Device::flex());
    let (found, expected) = (steps(&on_gpu), steps(&on_processor));
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().all(|step| step.device_memory_mib.is_some_and(|mib| mib > 0.0)));
    assert!(expected.iter().all(|step| step.device_memory_mib.is_none()));
    // Of one step the arithmetic is the same; later a tie among proposals may fall otherwise.
    for (tolerance, (found, expected)) in [1e-3, 0.05].into_iter().zip(found.iter().zip(&expected)) {
        assert_eq!(found.losses.keys().collect::<Vec<_>>(), expected.losses.keys().collect::<Vec<_>>());
        for (name, expected) in &expected.losses {
            let difference = (found.losses[name] - expected).abs();
            assert!(difference <= tolerance * expected, "{name}: {} is not {expected}", found.losses[name]);
        }
    }

    // A detector trained anywhere detects the same everywhere.
    let pixels = (0..64 * 64 * 3_u32).map(|place| (place * place % 251) as u8).collect();
    let image = RgbImage { width: 64, height: 64, pixels };
    let found = [&gpu, &Device::flex()]
        .map(|device| Predictor::load(&on_processor, None, device).unwrap().detect(image.clone()));
    assert_eq!(found[0].labels.len(), found[1].labels.len());
    for (a, b) in found[0].scores.iter().zip(&found[1].scores) {
        assert!((a - b).abs() < 1e-4, "{a} is not {b}");
    }

    // And so are the features that a bank keeps.
    let source = FeatureSource::open(&on_processor, None, None, &[]).unwrap();
    let banks = [("gpu-bank", &gpu), ("bank", &Device::flex())].map(|(name, device)| {
        let out = folder.path().join(name);
        extract(&source, &options(Precision::F32), &out, device, &mut |_| (), &mut Silent).unwrap().unwrap();
        Bank::open(&out.join("validation")).unwrap()
    });
    let width = banks[0].header().width;
    let [found, expected] = banks.map(|bank| {
        let shard = bank.shard(0).unwrap();
        let mut features = vec![0.0; shard.len() * width];
        shard.features(0..shard.len(), &mut features);
        (shard.boxes(0..shard.len()), features)
    });
    let close = |found: &[f32], expected: &[f32], tolerance: f32| {
        assert!(found.len() == expected.len() && !found.is_empty());
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < tolerance * (1.0 + e.abs()), "{f} is not {e}");
        }
    };
    close(&found.0, &expected.0, 1e-3);
    close(&found.1, &expected.1, 1e-3);
}

/// With `LONGTAIL_TEST_STEPS` set to 1000 this is the long run.
#[test]
fn memory_does_not_grow() {
    let Some(gpu) = gpu() else { return };
    let iterations: u64 = std::env::var("LONGTAIL_TEST_STEPS").map_or(40, |steps| steps.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let recipe = Recipe::parse(
        TINY,
        &[
            format!("stages.0.length={{ iterations = {iterations} }}"),
            format!("log_every={}", iterations / 10),
            "data.validation_images=2".into(),
        ],
    )
    .unwrap();
    train(&recipe, &path, &gpu);
    let memory: Vec<f64> = steps(&path).iter().filter_map(|step| step.device_memory_mib).collect();
    eprintln!("MiB of the device every {} steps: {memory:.1?}", iterations / 10);
    assert_eq!(memory.len(), 10);
    // Batches hold different numbers of boxes: the first tenths find the largest.
    assert!(memory[9] <= 1.1 * memory[4], "{memory:?}");
}
