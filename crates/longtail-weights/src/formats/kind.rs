//! What the first bytes of a file tell.

use super::torch_legacy;

/// Longest header of a safetensors file, as its own reader has it.
const MAX_HEADER: u64 = 100_000_000;
/// Most characters of a text that a message repeats.
const MAX_SHOWN: usize = 60;

/// A container, or what the file is instead, with what to do.
pub(crate) enum Kind {
    Zip,
    Safetensors,
    Legacy,
    Pickle,
    Unknown(String),
}

/// Formats of other programs by their first bytes.
const OTHERS: [(&[u8], &str); 17] = [
    (b"\x89HDF", "it is HDF5, as Keras writes; export it as safetensors"),
    (
        b"\x93NUMPY",
        "it is a single array of numpy; weights need names: save a dictionary of them as safetensors",
    ),
    (b"GGUF", "it is GGUF, which holds language models"),
    (
        b"ftrt",
        "it is an engine of TensorRT, compiled for one kind of GPU; take the checkpoint it was made from",
    ),
    (b"\x1f\x8b", "it is compressed by gzip; unpack it first"),
    (b"BZh", "it is compressed by bzip2; unpack it first"),
    (b"\xfd7zXZ", "it is compressed by xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "it is compressed by Zstandard; unpack it first"),
    (b"7z\xbc\xaf", "it is a 7z archive; unpack it first"),
    (b"Rar!", "it is a RAR archive; unpack it first"),
    (b"\x12\x01\0\0\0\0\0\0", "it is a file of parameters of MXNet; convert it to safetensors"),
    (b"\0\0\0\0\x02\0\0\0", "it is a file of weights of darknet; no detector here has its layers"),
    (b"\0\0\0\0\x01\0\0\0", "it is a file of weights of darknet; no detector here has its layers"),
    (b"7767517\n", "it is the plan of a network of ncnn, without weights"),
    (b"\xff\xd8\xff", "it is a JPEG image"),
    (b"\x89PNG", "it is a PNG image"),
    (b"%PDF", "it is a PDF document"),
];

impl Kind {
    /// The kind of a file.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match bytes {
            [] => Self::Unknown("it is empty; the download or the copy went wrong".into()),
            [b'P', b'K', 3 | 5, ..] => Self::Zip,
            [a, b, c, d, e, f, g, h, b'{', ..]
                if u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) <= MAX_HEADER =>
            {
                Self::Safetensors
            }
            _ if torch_legacy::is_legacy(bytes) => Self::Legacy,
            [0x80, 0..=5, ..] => Self::Pickle,
            _ => Self::Unknown(other(bytes)),
        }
    }
}

fn other(bytes: &[u8]) -> String {
    if let Some((_, said)) = OTHERS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return (*said).to_owned();
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return "it is a model of TensorFlow Lite; take the checkpoint it was made from".into();
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return "it is a tar archive, as torch wrote before 0.1.10 and others pack files in; unpack it first"
            .into();
    }
    // Protobuf: field 1 is the version of the format, field 2 or 3 a name of the producer.
    if let [0x08, 1..=32, 0x12 | 0x1a | 0x22 | 0x3a, ..] = bytes {
        return "it is a graph of ONNX, without the names of a checkpoint; take the checkpoint it was exported from"
            .into();
    }
    text(bytes).unwrap_or_else(|| "its first bytes belong to no known format".into())
}

/// What a text is: usually the answer of a server in the file's stead.
fn text(bytes: &[u8]) -> Option<String> {
    let first = &bytes[..bytes.len().min(4096)];
    let text = match std::str::from_utf8(first) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() + 4 > first.len() => {
            std::str::from_utf8(&first[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.is_empty() || text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let lower = text.to_lowercase();
    let shown = || {
        let line: String = text.lines().next().unwrap_or_default().chars().take(MAX_SHOWN).collect();
        format!("\"{}\"", line.escape_debug().to_string().replace("\\\"", "\""))
    };
    Some(if lower.starts_with("version https://git-lfs") {
        "it is a pointer of Git LFS; fetch the file itself (git lfs pull)".into()
    } else if lower.starts_with("<?xml") && lower.contains("<net") {
        "it is the plan of a network of OpenVINO, without weights".into()
    } else if lower.starts_with("<?xml") || lower.starts_with("<error") {
        format!("it is XML, an answer of a server: {}; the download went wrong", shown())
    } else if lower.starts_with('<') {
        "it is a web page; the download went wrong: it may need a login, or be over its quota".into()
    } else if lower.starts_with('{') && lower.contains("\"weight_map\"") {
        "it is the index of a checkpoint in several files, without weights; one file with all of them is read"
            .into()
    } else if lower.starts_with(['{', '[']) {
        format!("it is JSON: {}; if a download wrote it, it is the answer of the server", shown())
    } else {
        format!("it is text that begins with {}", shown())
    })
}
