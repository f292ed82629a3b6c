//! Pages as whole files.

use std::collections::BTreeMap;

use longtail_report::{
    ConfusedPair, Curve, DrawnBox, Gallery, GalleryImage, Method, Panel, ReportData, Table, TruthName,
    aggregate,
    dataset::{self, ClassRow, DatasetData, Distribution, PairRow},
    html,
};

use crate::report;

/// Two methods under two truths, the second of another protocol.
fn run(shift: f64) -> ReportData {
    let method = |name: &str, background: &str, gain: f64| {
        let lvis = [
            ("AP", Some(0.25 + gain)),
            ("AP50", Some(0.45)),
            ("APr", Some(0.125 + 2.0 * gain)),
            ("APc", None),
            ("AR@300", Some(0.5)),
        ];
        let challenge = [("mAP50", Some(0.5)), ("mAP50r", Some(0.25 + gain))];
        let reports = [("lvis", report("lvis", &lvis)), ("other", report("open-images", &challenge))];
        Method {
            name: name.to_owned(),
            background: background.to_owned(),
            reports: reports.map(|(truth, report)| (truth.to_owned(), report)).into(),
        }
    };
    let truth = |name: &str, label: &str| TruthName { name: name.to_owned(), label: label.to_owned() };
    ReportData {
        title: "longtail: recipe/1".into(),
        facts: vec![("seed".into(), "0".into())],
        truths: vec![truth("lvis", "LVIS protocol"), truth("other", "the challenge's")],
        methods: vec![method("softmax", "own column", 0.0), method("acsl <b>", "adaptive", 0.01 + shift)],
        train_images: BTreeMap::from([(1, 3), (2, 50)]),
        compared: Some((0, 1)),
        remarks: vec!["One sentence.".into()],
        ..ReportData::default()
    }
}

#[test]
fn the_table_of_a_run_and_of_several() {
    let one = Table::of(&run(0.0));
    let several = aggregate(&[run(0.0), run(0.02)]).unwrap();
    let json = serde_json::to_string_pretty(&several.json()).unwrap();
    let parts = [one.markdown(), one.csv(), several.markdown(), several.csv(), json];
    insta::assert_snapshot!(parts.join("\n"));
}

#[test]
fn the_page_of_a_run() {
    let mut data = run(0.0);
    let curve = |plot: &str, name: &str| Curve {
        plot: plot.to_owned(),
        name: name.to_owned(),
        points: vec![(0.0, 1.0), (10.0, 0.5)],
    };
    data.losses = vec![curve("loss, stage one", "loss_cls")];
    data.validation = vec![curve("validation", "AP")];
    data.kept_negatives = vec![curve("acsl", "rare")];
    data.confusions = vec![ConfusedPair {
        method: "softmax".into(),
        truth: "sunglasses (f, 120)".into(),
        claimed: "eye mask (r, 3)".into(),
        count: 5,
        total: 9,
        across: true,
    }];
    let drawn = |label: &str, kind: &str| DrawnBox {
        bbox: [10.0, 20.0, 30.0, 40.0],
        label: label.into(),
        kind: kind.into(),
    };
    let panel = |title: &str, boxes| Panel { title: title.to_owned(), boxes };
    data.galleries = vec![Gallery {
        title: "Best validation images".into(),
        images: vec![GalleryImage {
            caption: "image 7".into(),
            bytes: vec![1, 2, 3],
            mime: "image/png".into(),
            width: 100,
            height: 80,
            panels: vec![
                panel("ground truth", vec![drawn("owl", "truth")]),
                panel("softmax", vec![drawn("owl 90", "right")]),
            ],
        }],
    }];
    let page = html(&data).unwrap();
    assert!(!page.contains("acsl <b>") && !page.contains("src="), "names are escaped, nothing is loaded");
    insta::assert_snapshot!(page);
}

#[test]
fn the_page_of_a_data_set() {
    let class = |name: &str, images, boxes| ClassRow { name: name.into(), images, boxes };
    let data = DatasetData {
        title: "train".into(),
        figures: vec![("boxes".into(), "1,234".into())],
        classes: vec![class("few", 3, 4), class("many", 500, 1230), class("some", 11, 12)],
        distributions: vec![Distribution {
            title: "box sizes".into(),
            axis: "pixels".into(),
            edges: vec!["0".into(), "32".into(), "96".into()],
            counts: vec![3, 9],
            summary: "median 40".into(),
        }],
        pairs: vec![(
            "together".into(),
            vec![PairRow { classes: ["few".into(), "many".into()], images: 2, lift: 1.26 }],
        )],
        shares: vec![("crowds".into(), "3".into())],
        facts: vec![("file".into(), "train.json".into())],
        ..DatasetData::default()
    };
    insta::assert_snapshot!(dataset::html(&data).unwrap());
}
