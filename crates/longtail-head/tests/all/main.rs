//! Heads trained on made-up banks: odd banks, windows, damage, stops, and gradients that are not finite.

mod tune;

use std::path::Path;

use longtail_bank::{Bank, BankError, BankWriter, Class, Header, ImageRows, Part, Precision};
use longtail_head::{BatchRecipe, HeadError, HeadRecipe, Length, stream::Stream, train};
use longtail_run::{Event, Observer, Silent};

/// What was said, and a stop after so many steps.
#[derive(Default)]
struct Watch {
    notes: Vec<String>,
    steps: u64,
    stop_at: Option<u64>,
}

impl Observer for Watch {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Note(text) => self.notes.push(text.to_owned()),
            Event::Step { .. } => self.steps += 1,
            _ => {}
        }
    }
    fn stop_requested(&self) -> bool {
        self.stop_at == Some(self.steps)
    }
}

fn recipe(loss: &str) -> HeadRecipe {
    HeadRecipe {
        length: Length::Iterations(30),
        batch: BatchRecipe::Images(4),
        from_stage1: false,
        ..HeadRecipe::of(loss).unwrap()
    }
}

/// A bank of made-up rows: labels by image, every label with features of its own.
fn made_up(folder: &Path, images: &[&[u32]], classes: i64) -> Bank {
    let classes = (0..classes).map(|c| Class::counted(c, format!("class {c}"), 1, 1)).collect();
    let header = Header {
        images_per_shard: 2,
        ..Header::new(Part::Training, 3, Precision::F32, classes, images.len())
    };
    let mut writer = BankWriter::open(folder, header.clone()).unwrap();
    let rows = |image: usize| ImageRows {
        image_id: image as i64,
        features: images[image]
            .iter()
            .flat_map(|&l| (0..3).map(move |d| f32::from(u8::from(d == l % 3))))
            .collect(),
        labels: images[image].to_vec(),
        ious: vec![0.5; images[image].len()],
        boxes: vec![[0.0, 0.0, 1.0, 1.0]; images[image].len()],
        ..ImageRows::default()
    };
    for shard in writer.missing() {
        writer.write(shard, &header.images_of(shard).map(rows).collect::<Vec<_>>()).unwrap();
    }
    writer.finish().unwrap();
    Bank::open(folder).unwrap()
}

#[test]
fn odd_banks_are_refused_or_remarked_on() {
    let recipe = HeadRecipe { length: Length::Iterations(5), ..recipe("acsl") };
    let try_with = |images: &[&[u32]]| {
        let folder = tempfile::tempdir().unwrap();
        let bank = made_up(folder.path(), images, 3);
        let mut notes = Watch::default();
        (train(&bank, &recipe, None, &mut notes).map(|_| ()).map_err(|e| e.to_string()), notes.notes)
    };
    let (result, notes) = try_with(&[&[1, 2, 0], &[3, 0], &[2]]);
    assert_eq!((result, notes.len()), (Ok(()), 0));
    let (result, notes) = try_with(&[&[1, 0], &[2, 0]]);
    assert!(
        result.is_ok() && notes[0].contains("1 of 3 classes have no RoI") && notes[0].contains("class 2")
    );
    let (result, notes) = try_with(&[&[1, 2], &[3]]);
    assert!(result.is_ok() && notes[0].contains("no background"), "{notes:?}");
    let (result, _) = try_with(&[&[0, 0], &[0]]);
    assert!(result.unwrap_err().contains("no foreground"));
    // Images without any RoI are passed over.
    let (result, _) = try_with(&[&[], &[1, 2, 3, 0], &[]]);
    assert_eq!(result, Ok(()));
}

#[test]
fn windows_hold_few_shards_and_lose_none() {
    let folder = tempfile::tempdir().unwrap();
    let labels: Vec<Vec<u32>> = (0..40).map(|image| vec![1 + image % 3, 0]).collect();
    let images: Vec<&[u32]> = labels.iter().map(Vec::as_slice).collect();
    let bank = made_up(folder.path(), &images, 3);
    // 20 shards of under 2 KiB in windows of 1 MiB are one window: the limit is what is tested through the binary.
    let recipe = HeadRecipe { batch: BatchRecipe::Images(40), window_mib: 1, ..recipe("acsl") };
    let mut stream = Stream::new(&bank, &recipe).unwrap();
    for _ in 0..3 {
        let step = stream.next_batch().unwrap();
        assert_eq!(step.labels.iter().filter(|label| **label > 0).count(), 40);
    }
    let mut skipped = Stream::new(&bank, &recipe).unwrap();
    skipped.skip(3);
    assert_eq!(skipped.next_batch().unwrap(), stream.next_batch().unwrap());
}

#[test]
fn damage_is_found_in_training() {
    let folder = tempfile::tempdir().unwrap();
    let bank = made_up(folder.path(), &[&[1, 0], &[2, 0], &[3, 0]], 3);
    let path = folder.path().join("shard-00001.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = train(&bank, &recipe("acsl"), None, &mut Silent).unwrap_err();
    assert!(matches!(error, HeadError::Bank(BankError::Shard { .. })), "{error}");
}

/// Through the file of a checkpoint: layers, momentum and the loss's running state.
#[test]
fn a_training_that_was_stopped_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let bank = made_up(&folder.path().join("bank"), &[&[1, 2, 0], &[3, 0], &[2, 0, 0], &[1, 3]], 3);
    let partial = folder.path().join("head.partial");
    for loss in ["eql-v2", "seesaw", "softmax-cross-entropy"] {
        let (expected, _) = train(&bank, &recipe(loss), None, &mut Silent).unwrap();
        for stop in [3, 11] {
            let mut watch = Watch { stop_at: Some(stop), ..Watch::default() };
            let stopped = train(&bank, &recipe(loss), Some(&partial), &mut watch);
            assert!(matches!(stopped, Err(HeadError::Stopped { .. })), "{loss}");
        }
        let (found, file) = train(&bank, &recipe(loss), Some(&partial), &mut Silent).unwrap();
        assert_eq!(found, expected, "{loss}");
        assert_eq!(file.training.unwrap().iterations, 30);
        assert!(!partial.exists());
    }
}

/// A loss that is finite and a gradient that is not: no step, and nothing is written.
#[test]
fn a_gradient_that_is_not_finite_ends_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let images = [&[1, 2, 0][..], &[3, 0], &[1, 1], &[1, 1]];
    let bank = made_up(&folder.path().join("bank"), &images, 3);
    let heavy = recipe("softmax-cross-entropy").with(&["reduction={ weight = 3e39 }"]).unwrap();
    let partial = folder.path().join("head.partial");
    let error = train(&bank, &heavy, Some(&partial), &mut Silent).unwrap_err();
    let HeadError::NotFinite { name, step: 0, quantity, value } = &error else { panic!("{error}") };
    assert_eq!((name.as_str(), *quantity), ("softmax-cross-entropy", "gradient norm"));
    assert!(!value.is_finite() && error.to_string().contains("learning rate"), "{error}");
    assert!(!partial.exists());
}
