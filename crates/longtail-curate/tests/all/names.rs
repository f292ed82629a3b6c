//! Names that lead out of the folder of the images.

use std::{fs, sync::Arc};

use image::RgbImage;
use longtail_annotations::{AnnotationSet, Category, ImageRecord, Layout};
use longtail_curate::{CheckOptions, check};
use longtail_data::{Dataset, ImageFolder, ImageSource};

#[test]
fn names_that_lead_out_are_neither_loaded_nor_trained_on_and_found() {
    for name in ["../a.png", "/a.png", "b/../../a.png", "..\\a.png"] {
        let image = ImageRecord {
            id: 1,
            file_name: name.into(),
            width: 64,
            height: 48,
            neg_category_ids: None,
            not_exhaustive_category_ids: None,
        };
        let set = AnnotationSet {
            path: None,
            layout: Layout::Coco,
            images: vec![image],
            annotations: Vec::new(),
            categories: vec![Category { id: 1, name: "a".into(), frequency: None }],
        };
        let folder = tempfile::tempdir().unwrap();
        RgbImage::new(64, 48).save(folder.path().join("a.png")).unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let source = ImageFolder::new(&inner);
        let error = source.load(&set.images[0]).unwrap_err().to_string();
        // What another machine's root was is looked for below the folder, and nowhere else.
        let said = if name == "/a.png" { "no such file" } else { "file_name" };
        assert!(error.contains(said), "{error}");
        assert!(source.path(name).starts_with(&inner));
        let data = Dataset::new(set.clone(), Arc::new(source));
        assert!(data.err().unwrap().to_string().contains("image 1: file_name"));
        let findings = check(&set, &CheckOptions::default(), &|| {}).findings;
        assert!(findings.iter().any(|finding| finding.message.contains("lead out")));
    }
}
