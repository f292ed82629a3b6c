//! Files as people have them, in the shape of public bug reports: each with what its owner expects.

use std::collections::BTreeMap;

use longtail_weights::{ImportOptions, Naming, WeightFile, names::Unread, transfer};

use crate::path;

fn read(name: &str) -> WeightFile {
    WeightFile::read(&path(&format!("cases/{name}"))).unwrap()
}

fn refused(name: &str) -> String {
    WeightFile::read(&path(&format!("cases/{name}"))).unwrap_err().to_string()
}

/// Case 111: open-mmlab/mmengine#1655, #1650.
#[test]
fn a_checkpoint_of_mmengine_is_read_and_its_history_skipped() {
    let file = read("111-checkpoint-of-mmengine/epoch_12.pth");
    assert_eq!(file.group, "state_dict");
    assert_eq!(file.weights().unwrap().len(), 5);
    assert_eq!(file.classes.as_deref(), Some(&["gull".to_owned(), "buoy".to_owned()][..]));
    let [history] = file.skipped.as_slice() else { panic!("{:?}", file.skipped) };
    assert_eq!(history.class, "mmengine.logging.history_buffer.HistoryBuffer");
    assert!(history.path.starts_with("message_hub.log_scalars"), "{history:?}");
    assert_eq!((history.count, history.tensors), (1, 0));
}

/// Case 112: sming256/OpenTAD#44, pytorch/pytorch#3805.
#[test]
fn what_parallel_training_and_averaging_put_around_is_dropped() {
    for (name, group) in
        [("parallel.pth", "state_dict"), ("ema-only.pth", "model_ema"), ("ema.pth", "state_dict")]
    {
        let file = read(&format!("112-parallel-and-averaged/{name}"));
        assert_eq!(file.group, group, "{name}");
        let weights = file.weights().unwrap();
        assert!(weights.contains_key("conv1.weight") && weights.contains_key("fc.weight"), "{weights:?}");
        assert_eq!(Naming::detect(weights.keys().copied()), Some(Naming::TorchvisionResnet), "{name}");
    }
}

/// Case 115: facebookresearch/sapiens#124, YBIGTA/pytorch-hair-segmentation#38.
#[test]
fn files_that_are_not_weights_are_named() {
    for (name, said) in [
        ("lfs.pth", "it is a pointer of Git LFS; fetch the file itself"),
        ("page.pth", "it is a web page; the download went wrong"),
        ("page2.pth", "it is a web page; the download went wrong"),
        ("xml.pth", "it is XML, an answer of a server"),
        ("json.pth", "it is JSON: \"{\"error\":\"AccessDenied\"}\""),
        ("onnx.pth", "it is a graph of ONNX"),
        ("empty.pth", "it is empty"),
    ] {
        let error = refused(&format!("115-files-that-are-no-weights/{name}"));
        assert!(error.contains("is not a file of weights") && error.contains(said), "{error}");
        assert!(error.contains(name), "{error}");
    }
}

/// Case 116: ltdrdata/ComfyUI-Impact-Pack#1120, ZHO-ZHO-ZHO/ComfyUI-YoloWorld-EfficientSAM#102.
#[test]
fn a_whole_model_is_refused_by_name_with_a_way_out() {
    let error = refused("116-whole-model-pickled/best.pt");
    assert!(error.contains("`model`, an object of class `ultralytics.nn.tasks.DetectionModel`"), "{error}");
    assert!(error.contains("nothing of it was executed"), "{error}");
    assert!(error.contains("torch.save(model.state_dict(), ...)"), "{error}");
    let error = refused("116-whole-model-pickled/scripted.pt");
    assert!(error.contains("a TorchScript program of class `__torch__.model.Net`"), "{error}");
    assert!(error.contains("torch.jit.load"), "{error}");
}

/// Case 117: pytorch/vision#5444.
#[test]
fn the_second_torchvision_detector_is_named() {
    let file = read("117-second-torchvision-detector/v2.safetensors");
    let weights = file.weights().unwrap();
    let found = Unread::detect(weights.keys().copied()).unwrap();
    assert_eq!(found, Unread::TorchvisionV2);
    assert!(found.to_string().contains("this is the second torchvision detector"), "{found}");
    assert!(found.to_string().contains("only v1 is read"), "{found}");
    // The import itself says so too, whoever calls it.
    let wanted = BTreeMap::new();
    let error = transfer::import(&file, Naming::Torchvision, &wanted, &ImportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("second torchvision detector"), "{error}");
}

/// Case 118: pytorch/pytorch#98921.
#[test]
fn the_milestones_of_a_schedule_are_read() {
    let file = read("118-checkpoint-with-milestones/epoch_12.pth");
    assert_eq!(file.group, "model");
    assert_eq!(file.weights().unwrap().len(), 7);
    assert_eq!(file.metadata["lr_scheduler.milestones.16"], "1");
    assert_eq!(file.metadata["epoch"], "12");
    assert!(file.skipped.is_empty(), "{:?}", file.skipped);
}
