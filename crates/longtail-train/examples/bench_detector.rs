//! Seconds and peak memory of an imported detector on random pixels, as JSON, for `scripts/bench_detector.py`.
//!
//! bench_detector WEIGHTS infer|train|backbone IMAGES HEIGHT WIDTH REPEATS [DEVICE]

use std::{error::Error, path::PathBuf, time::Instant};

use burn::{
    module::Module,
    tensor::{Device, Distribution, Tensor},
};
use longtail_data::Targets;
use longtail_detect::{FasterRcnn, ImageBatch, ImageMeta, cascade::averaged, layers::Initializer};
use longtail_head::SgdConfig;
use longtail_loss::{ClassContext, DrawKey, Reduction};
use longtail_ops::{TensorLoss, device};
use longtail_train::{
    Description, DeviceChoice,
    checkpoint::Checkpoint,
    parameters::{TensorMap, restore},
    sgd::Sgd,
};
use serde_json::json;

/// As the binary `longtail`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: bench_detector WEIGHTS infer|train|backbone IMAGES HEIGHT WIDTH REPEATS [DEVICE]";
const WARM_UP: usize = 2;

struct Bench {
    description: Description,
    batch: [usize; 3],
    repeats: usize,
    device: Device,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, what, images, height, width, repeats, device @ ..] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let batch = [images.parse()?, height.parse()?, width.parse()?];
    let device: DeviceChoice = device.first().map_or("cpu", String::as_str).parse()?;
    let checkpoint = Checkpoint::read(&PathBuf::from(weights))?;
    let description = checkpoint.description.clone().ok_or("was not written by `longtail weights import`")?;
    let bench = Bench { description, batch, repeats: repeats.parse()?, device: device.open()? };
    // The weights of the file are gone once the detector has them.
    let model = checkpoint.model;
    let (seconds, detections) = match what.as_str() {
        "infer" => bench.infer(model)?,
        "train" => (bench.train(model)?, 0),
        "backbone" => (bench.backbone(model)?, 0),
        _ => return Err(USAGE.into()),
    };
    let result = json!({
        "min": seconds[0], "median": seconds[seconds.len() / 2], "peak_mib": peak_mib(), "detections": detections,
        "device": device::name(&bench.device), "device_mib": device::memory_mib(&bench.device),
    });
    println!("{result}");
    Ok(())
}

impl Bench {
    fn timed(&self, mut step: impl FnMut()) -> Vec<f64> {
        let mut seconds: Vec<f64> = (0..WARM_UP + self.repeats)
            .map(|_| {
                let began = Instant::now();
                step();
                self.device.sync().expect("the device does what it was told");
                began.elapsed().as_secs_f64()
            })
            .skip(WARM_UP)
            .collect();
        seconds.sort_by(f64::total_cmp);
        seconds
    }

    /// A batch padded as the loader pads.
    fn images(&self, device: &Device) -> ImageBatch {
        let [images, height, width] = self.batch;
        let shape = [images, 3, height.next_multiple_of(32), width.next_multiple_of(32)];
        let pixels = Tensor::random(shape, Distribution::Uniform(-2.0, 2.0), device);
        ImageBatch { pixels, sizes: vec![[height as u32, width as u32]; images] }
    }

    fn detector(&self, model: TensorMap, device: &Device) -> Result<FasterRcnn, String> {
        let classes = self.description.classes.len();
        restore(self.description.detector.init(classes, classes + 1, 0, device), &model)
    }

    fn infer(&self, model: TensorMap) -> Result<(Vec<f64>, usize), Box<dyn Error>> {
        let device = self.device.clone();
        let detector = self.detector(model, &device)?;
        let loss = self.description.loss.build(&ClassContext::new(detector.num_classes()))?;
        let images = self.images(&device);
        let meta: Vec<ImageMeta> =
            images.sizes.iter().map(|&original_size| ImageMeta { original_size, scale: [1.0; 2] }).collect();
        let classifiers: Vec<_> = detector.classifiers().into_iter().cloned().collect();
        let classifier = averaged(&classifiers);
        let mut found = 0;
        let seconds = self.timed(|| {
            let proposals = detector.propose_features(&images);
            let logits = classifier.forward(proposals.features.clone());
            let scores = loss.scores(&logits);
            let detections = detector.detect(&proposals, &scores, &meta, &self.description.test);
            found = detections.iter().map(|image| image.scores.len()).sum();
        });
        Ok((seconds, found))
    }

    fn train(&self, model: TensorMap) -> Result<Vec<f64>, Box<dyn Error>> {
        let device = self.device.clone().autodiff();
        let mut detector = self.detector(model, &device)?;
        let loss = self.description.loss.build(&ClassContext::new(detector.num_classes()))?;
        let images = self.images(&device);
        // As in the script.
        let boxes = (0..8).map(|i| {
            let (x, y, side) = (20.0 + 40.0 * i as f32, 10.0 + 35.0 * i as f32, 60.0 + 15.0 * i as f32);
            [x, y, x + side, y + side]
        });
        let targets = Targets { boxes: boxes.collect(), labels: (0..8).collect(), ..Targets::default() };
        let targets = vec![targets; self.batch[0]];
        let config = SgdConfig { learning_rate: 1e-4, ..SgdConfig::default() };
        let mut sgd = Sgd::default();
        let mut step = 0;
        Ok(self.timed(|| {
            let draw = DrawKey { seed: 0, step };
            step += 1;
            let output =
                detector.forward_train(&images, &targets, loss.as_ref(), &[], Reduction::default(), draw);
            let gradients = output.expect("the loss fits the detector").losses.total().backward();
            (detector, _) = sgd
                .step(&config, config.learning_rate, detector.clone(), gradients)
                .expect("gradients are finite");
        }))
    }

    fn backbone(&self, model: TensorMap) -> Result<Vec<f64>, Box<dyn Error>> {
        let device = self.device.clone();
        let backbone = self.description.detector.backbone.init(&mut Initializer::new(0, &device)).no_grad();
        let own = model.into_iter();
        let own = own.filter_map(|(path, data)| Some((path.strip_prefix("backbone.")?.to_owned(), data)));
        let backbone = restore(backbone, &own.collect())?;
        let images = self.images(&device);
        Ok(self.timed(|| {
            backbone.forward(images.pixels.clone());
        }))
    }
}

/// Largest resident set of the process so far.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1024.0)
}
