use proptest::prelude::*;

use super::*;
use crate::read_annotations;
use longtail_annotations::{Annotation, Category, FrequencyGroup, ImageRecord, Layout};

const TEXT: &str = r#"{"images": [{"id": 7, "width": 20, "height": 10, "file_name": "ü.jpg", "neg_category_ids": [3, -9]},
    {"id": 8, "width": 2, "height": 1, "file_name": "b.jpg", "not_exhaustive_category_ids": []}],
    "annotations": [{"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2.5, 3, 4.1], "area": 5.25},
    {"id": 2, "image_id": 8, "category_id": 3, "bbox": [1, -0.0, 3, 4.1], "iscrowd": 1, "ignore": true}],
    "categories": [{"id": 9, "name": "cow", "frequency": "f"}, {"id": 3, "name": "bib"}]}"#;

/// A set of which everything was read.
fn whole((set, used, remarks): (AnnotationSet, IndexUse, Remarks)) -> (AnnotationSet, IndexUse) {
    assert!(remarks.is_empty());
    (set, used)
}

struct Folder {
    folder: tempfile::TempDir,
    file: PathBuf,
    place: IndexPlace,
}

impl Folder {
    /// A file that was changed an hour ago, and a folder for its index.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("set.json");
        let place = IndexPlace::Folder(folder.path().join("made/when needed"));
        let new = Self { folder, file, place };
        new.put(TEXT, 3600);
        new
    }

    fn put(&self, text: &str, seconds_ago: u64) {
        fs::write(&self.file, text).unwrap();
        self.touch(seconds_ago);
    }

    fn touch(&self, seconds_ago: u64) {
        let file = File::options().write(true).open(&self.file).unwrap();
        // Whole seconds, so that two calls can set the same time.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 100 * 100;
        file.set_modified(UNIX_EPOCH + Duration::from_secs(now - seconds_ago)).unwrap();
    }

    fn open(&self) -> (AnnotationSet, IndexUse) {
        whole(inspect_indexed_from(&self.file, &self.place, 1).unwrap())
    }

    fn index(&self) -> PathBuf {
        self.place.candidates(&self.file)[0].path.clone()
    }
}

#[test]
fn the_second_opening_reads_the_index_and_gives_the_same() {
    let folder = Folder::new();
    let (first, written) = folder.open();
    assert_eq!(written, IndexUse::Written(folder.index()));
    let (second, read) = folder.open();
    assert_eq!(read, IndexUse::Read(folder.index()));
    assert_eq!((&first, first.clone()), (&second, read_annotations(&folder.file).unwrap()));
    assert_eq!(second.path.as_deref(), Some(folder.file.as_path()));
    let left = fs::read_dir(folder.index().parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "no partial file stays");
}

#[test]
fn a_file_that_changed_is_read_anew() {
    let folder = Folder::new();
    folder.open();
    let changes: [&dyn Fn(); 3] = [
        // Longer.
        &|| folder.put(&format!("{TEXT} "), 3600),
        // Same size and bytes, another time.
        &|| folder.touch(7200),
        // Same size and time, other bytes.
        &|| folder.put(&TEXT.replace("cow", "cat"), 7200),
    ];
    for change in changes {
        change();
        let (set, used) = folder.open();
        assert_eq!(used, IndexUse::Written(folder.index()));
        assert_eq!(set, read_annotations(&folder.file).unwrap());
        assert_eq!(folder.open().1, IndexUse::Read(folder.index()));
    }
}

#[test]
fn an_index_of_another_file_is_not_read() {
    let (one, other) = (Folder::new(), Folder::new());
    one.open();
    fs::create_dir_all(other.index().parent().unwrap()).unwrap();
    fs::copy(one.index(), other.index()).unwrap();
    assert_eq!(other.open().1, IndexUse::Written(other.index()));
}

#[test]
fn a_damaged_index_is_not_read() {
    let folder = Folder::new();
    let (set, _) = folder.open();
    let whole = fs::read(folder.index()).unwrap();
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        let key = Key::of(&File::open(&folder.file).unwrap(), &fs::metadata(&folder.file).unwrap(), vec![])
            .unwrap();
        assert_eq!(decode(&damaged, &key), None);
        assert_eq!(decode(&whole[..place], &key), None);
    }
    for bytes in [&whole[..whole.len() - 1], b"", b"LTINDEX\x01"] {
        fs::write(folder.index(), bytes).unwrap();
        assert_eq!(folder.open(), (set.clone(), IndexUse::Written(folder.index())));
    }
}

#[test]
fn small_and_fresh_files_get_none() {
    let folder = Folder::new();
    let small = read_indexed(&folder.file, &folder.place).unwrap();
    assert_eq!(small.1, IndexUse::None);
    let now = File::options().write(true).open(&folder.file).unwrap();
    now.set_modified(SystemTime::now()).unwrap();
    assert_eq!(folder.open().1, IndexUse::None);
    assert!(!folder.index().exists());
    let off = whole(inspect_indexed_from(&folder.file, &IndexPlace::Nowhere, 1).unwrap());
    assert_eq!(off.1, IndexUse::None);
}

#[test]
fn beside_the_file_its_name_is_enough() {
    let folder = Folder::new();
    let open = |file: &Path| inspect_indexed_from(file, &IndexPlace::Beside, 1).unwrap().1;
    let index = fs::canonicalize(folder.folder.path()).unwrap().join(".set.json.longtail-index");
    assert_eq!(open(&folder.file), IndexUse::Written(index.clone()));
    let moved = tempfile::tempdir().unwrap();
    for name in ["set.json", ".set.json.longtail-index"] {
        fs::rename(folder.folder.path().join(name), moved.path().join(name)).unwrap();
    }
    let moved_index = fs::canonicalize(moved.path()).unwrap().join(".set.json.longtail-index");
    assert_eq!(open(&moved.path().join("set.json")), IndexUse::Read(moved_index));
}

#[test]
fn an_index_that_cannot_be_written_is_no_error() {
    let folder = Folder::new();
    let blocked = IndexPlace::Folder(folder.file.join("under a file"));
    let (set, used) = whole(inspect_indexed_from(&folder.file, &blocked, 1).unwrap());
    assert_eq!(set.images.len(), 2);
    assert!(matches!(&used, IndexUse::Failed(reason) if reason.contains("under a file")), "{used:?}");
}

#[cfg(unix)]
#[test]
fn an_index_is_as_private_as_its_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    fs::set_permissions(&folder.file, fs::Permissions::from_mode(0o600)).unwrap();
    folder.open();
    assert_eq!(fs::metadata(folder.index()).unwrap().permissions().mode() & 0o777, 0o600);
}

fn any_set() -> impl Strategy<Value = AnnotationSet> {
    let ids = || proptest::option::of(proptest::collection::vec(any::<i64>(), 0..4));
    let image = (any::<i64>(), ".*", any::<u32>(), any::<u32>(), ids(), ids()).prop_map(
        |(id, file_name, width, height, neg_category_ids, not_exhaustive_category_ids)| ImageRecord {
            id,
            file_name,
            width,
            height,
            neg_category_ids,
            not_exhaustive_category_ids,
        },
    );
    let number = || -1e9..1e9_f64;
    let annotation = (
        any::<[i64; 3]>(),
        [number(), number(), number(), number()],
        proptest::option::of(number()),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|([id, image_id, category_id], bbox, area, iscrowd, ignore)| Annotation {
            id,
            image_id,
            category_id,
            bbox,
            area,
            iscrowd,
            ignore,
        });
    let frequency = proptest::option::of((0..3_usize).prop_map(|place| FrequencyGroup::ALL[place]));
    let category =
        (any::<i64>(), ".*", frequency).prop_map(|(id, name, frequency)| Category { id, name, frequency });
    let many = 0..6_usize;
    (
        any::<bool>(),
        proptest::collection::vec(image, many.clone()),
        proptest::collection::vec(annotation, many.clone()),
        proptest::collection::vec(category, many),
    )
        .prop_map(|(lvis, images, annotations, categories)| AnnotationSet {
            path: None,
            layout: if lvis { Layout::Lvis } else { Layout::Coco },
            images,
            annotations,
            categories,
        })
}

proptest! {
    #[test]
    fn every_set_comes_back(set in any_set()) {
        let key = Key { owner: b"x".to_vec(), bytes: 7, modified: -1, samples: 3 };
        let bytes = encode(&set, &key);
        prop_assert_eq!(decode(&bytes, &key), Some(set));
        prop_assert_eq!(decode(&bytes, &Key { bytes: 8, ..key }), None);
    }

    #[test]
    fn no_bytes_panic(set in any_set(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encode_unchecked(&set);
        let place = place.index(bytes.len());
        bytes[place] = byte;
        decode_unchecked(&bytes);
        decode_unchecked(&bytes[..place]);
    }
}
