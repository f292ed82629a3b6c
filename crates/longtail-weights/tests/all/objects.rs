//! What lies beside the weights in a pickle, and tensors that are not plain numbers.

use std::{collections::BTreeMap, io::Write};

use longtail_weights::{Array, DType, ImportOptions, Naming, Skipped, WeightFile, transfer};

use crate::path;

/// A file of torch with the pickle `body` (protocol 2) and storages of 16 bytes.
fn torch_file(body: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("archive/data.pkl", options).unwrap();
    archive.write_all(b"\x80\x02").unwrap();
    archive.write_all(body).unwrap();
    archive.write_all(b".").unwrap();
    archive.start_file("archive/data/0", options).unwrap();
    archive.write_all(&[0x38; 16]).unwrap();
    archive.finish().unwrap().into_inner()
}

fn text(text: &str) -> Vec<u8> {
    let mut pickled = b"X".to_vec();
    pickled.extend((text.len() as u32).to_le_bytes());
    pickled.extend(text.as_bytes());
    pickled
}

/// The storage of 16 bytes as `count` elements.
fn storage(class: &str, count: u8) -> Vec<u8> {
    [b"(", &text("storage")[..], class.as_bytes(), &text("0"), &text("cpu"), b"K", &[count], b"tQ"].concat()
}

/// Four numbers.
fn tensor() -> Vec<u8> {
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(",
        &storage("ctorch\nFloatStorage\n", 4)[..],
        b"K\0K\x04\x85K\x01\x85\x89}tR",
    ]
    .concat()
}

/// `{key: value, …}`
fn dictionary(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<u8> =
        entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(", &entries[..], b"u"].concat()
}

fn parse(body: &[u8]) -> WeightFile {
    WeightFile::parse(torch_file(body)).unwrap()
}

fn skipped(class: &str, path: &str, tensors: usize) -> Skipped {
    Skipped { class: class.into(), path: path.into(), count: 1, tensors }
}

#[test]
fn a_class_of_somebody_is_skipped_and_listed() {
    let file = WeightFile::read(&path("class.pth")).unwrap();
    assert_eq!(file.group, "state_dict");
    assert_eq!(file.skipped, [skipped("__main__.Hook", "hook", 0)]);
}

#[test]
fn inert_objects_beside_the_weights_are_skipped_and_listed() {
    let weights = dictionary(&[("a", tensor())]);
    // As Python writes them with protocol 2: arguments of a script, a path, an enumeration, a size, a device, a type of
    // elements, a class, an object whose state is a dictionary, subclasses of containers, and the old `_reconstructor`.
    let objects: [(&str, &[u8], &str); 11] = [
        ("args", b"cargparse\nNamespace\n)\x81}X\x02\0\0\0lrG?\x84z\xe1G\xae\x14{sb", "argparse.Namespace"),
        ("out", b"cpathlib\nPosixPath\n(X\x01\0\0\0/X\x03\0\0\0runtR", "pathlib.PosixPath"),
        ("mode", b"cproject.modes\nMode\nK\x01\x85R", "project.modes.Mode"),
        ("level", b"cbuiltins\ngetattr\ncproject.modes\nLevel\nX\x04\0\0\0HIGH\x86R", "project.modes.Level"),
        ("device", b"ctorch\ndevice\nX\x04\0\0\0cuda\x85R", "torch.device"),
        ("optimiser", b"ctorch.optim.sgd\nSGD\n", "torch.optim.sgd.SGD"),
        ("cfg", b"cmmcv.utils.config\nConfigDict\n)\x81X\x01\0\0\0aK\x01s", "mmcv.utils.config.ConfigDict"),
        ("names", b"cproject\nNames\n)\x81X\x01\0\0\0aa", "project.Names"),
        ("old", b"ccopyreg\n_reconstructor\ncproject\nOld\ncbuiltins\nobject\nN\x87R}b", "project.Old"),
        ("older", b"(iproject\nOlder\n}b", "project.Older"),
        (
            "partial",
            b"cfunctools\npartial\ncproject\nf\n\x85R(cproject\nf\n)}NtbK\x01\x85R",
            "functools.partial",
        ),
    ];
    for (key, pickled, class) in objects {
        let file = parse(&dictionary(&[("model", weights.clone()), (key, pickled.to_vec())]));
        assert_eq!(file.group, "model", "{key}");
        assert_eq!(file.weights().unwrap()["a"].elements(), 4, "{key}");
        assert_eq!(file.skipped, [skipped(class, key, 0)], "{key}");
    }
    for (key, pickled) in [
        ("size", &b"ctorch\nSize\n(K\x02K\x03t\x85R"[..]),
        ("dtype", b"ctorch\nfloat32\n"),
        ("set", b"cbuiltins\nset\n](K\x01K\x02e\x85R"),
        ("counts", b"ccollections\nCounter\n}K\x10K\x01s\x85R"),
        ("default", b"ccollections\ndefaultdict\ncbuiltins\nlist\n\x85RK\x01K\x02s"),
    ] {
        let file = parse(&dictionary(&[("model", weights.clone()), (key, pickled.to_vec())]));
        assert!(file.skipped.is_empty(), "{key}: {:?}", file.skipped);
    }
}

#[test]
fn tensors_inside_of_objects_are_counted_or_refused() {
    let object =
        [b"cproject\nModel\n)\x81", &dictionary(&[("w", tensor()), ("v", tensor())])[..], b"b"].concat();
    let file = parse(&dictionary(&[("state_dict", dictionary(&[("a", tensor())])), ("ema", object.clone())]));
    assert_eq!(file.group, "state_dict");
    assert_eq!(file.skipped, [skipped("project.Model", "ema", 2)]);
    // The state of an optimizer is not the weights.
    let optimizer =
        dictionary(&[("state", dictionary(&[("0", dictionary(&[("momentum_buffer", tensor())]))]))]);
    for body in [
        object.clone(),
        dictionary(&[("model", object.clone()), ("optimizer", optimizer.clone())]),
        [b"]", &object[..], b"a"].concat(),
    ] {
        let error = WeightFile::parse(torch_file(&body)).unwrap_err().to_string();
        assert!(error.contains("`project.Model`") && error.contains("state_dict()"), "{error}");
    }
    let error = WeightFile::parse(torch_file(&dictionary(&[("optimizer", optimizer)]))).unwrap_err();
    assert!(error.to_string().contains("without a tensor of weights"), "{error}");
}

#[test]
fn a_lone_tensor_beside_the_weights_is_not_the_weights() {
    let weights = dictionary(&[("a", tensor()), ("b", tensor())]);
    let file = parse(&dictionary(&[("best", tensor()), ("state_dict", weights.clone()), ("ema", weights)]));
    assert_eq!(file.group, "state_dict");
}

#[test]
fn wrappers_around_the_names_are_dropped() {
    for (names, expected) in [
        (["module.a", "module.b"], ["a", "b"]),
        (["module._orig_mod.a", "module._orig_mod.b"], ["a", "b"]),
        (["_orig_mod.module.model.a", "_orig_mod.module.model.b"], ["a", "b"]),
        (["n_averaged", "module.b"], ["b", "n_averaged"]),
        (["module.a", "b"], ["b", "module.a"]),
    ] {
        let file = parse(&dictionary(&names.map(|name| (name, tensor()))));
        let found: Vec<&str> = file.weights().unwrap().into_keys().collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn quantised_and_eight_bit_tensors_are_named_for_what_they_are() {
    let float8 = [
        b"ctorch._utils\n_rebuild_tensor_v3\n(",
        &storage("ctorch.storage\nUntypedStorage\n", 16)[..],
        b"K\0K\x10\x85K\x01\x85\x89}ctorch\nfloat8_e4m3fn\ntR",
    ]
    .concat();
    let quantised = [
        b"ctorch._utils\n_rebuild_qtensor\n(",
        &storage("ctorch\nQInt8Storage\n", 16)[..],
        b"K\0K\x10\x85K\x01\x85(ctorch\nper_tensor_affine\nG?\xb9\x99\x99\x99\x99\x99\x9aK\0t\x89}tR",
    ]
    .concat();
    let wanted = BTreeMap::from([(
        "backbone.stem.weight".to_owned(),
        Array { shape: vec![16], values: vec![0.0; 16] },
    )]);
    for (pickled, dtype, said) in [
        (float8, DType::Float8E4m3fn, "(float8_e4m3fn) has floats of 8 bits"),
        (quantised, DType::Qint8, "(qint8) is quantised"),
    ] {
        let file = parse(&dictionary(&[("conv1.weight", pickled)]));
        assert_eq!(file.tensors[0].tensor.dtype(), dtype);
        let error = transfer::import(&file, Naming::TorchvisionResnet, &wanted, &ImportOptions::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("tensor `conv1.weight`") && error.contains(said), "{error}");
    }
}

#[test]
fn parameters_with_attributes_and_tensors_of_other_devices_are_read() {
    let parameter = [b"ctorch._utils\n_rebuild_parameter_with_state\n(", &tensor()[..], b"\x88}}tR"].concat();
    let typed = [
        b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch.nn.parameter\nParameter\n(",
        &storage("ctorch\nFloatStorage\n", 4)[..],
        b"K\0K\x04\x85K\x01\x85\x89}t}tR",
    ]
    .concat();
    let file = parse(&dictionary(&[("a", parameter), ("b", typed)]));
    assert_eq!(file.weights().unwrap().len(), 2);
    assert!(file.skipped.is_empty());
}

#[test]
fn arrays_of_texts_are_skipped() {
    let array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R(K\x01K\x01\x85cnumpy\ndtype\n\
                  X\x02\0\0\0O8K\0K\x01\x87R\x89]K\x01atb";
    let file = parse(&dictionary(&[("model", dictionary(&[("a", tensor())])), ("names", array.to_vec())]));
    assert_eq!(file.skipped, [skipped("numpy array of type O8", "names", 0)]);
}
