//! The command line tool `longtail`.
fn main() {}
