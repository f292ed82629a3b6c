//! Files and folders that are written whole, or not at all.
//!
//! What is written gets a temporary name beside its place, is synced and renamed, and its folder is synced
//! too: a reader sees what was there before or what is there now, and never half of it. A write that fails
//! removes what it made. A process that is killed leaves `NAME.PROCESS.partial` behind, and nothing else.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`file`](mod@file) | whole files |
//! | [`folder`] | whole folders |
//! | [`temporary`] | the temporary name, and what a killed process left under it |
//! | [`error`] | what failed, and where |
//!
//! ```
//! use std::io::Write;
//!
//! use longtail_files::{NewFolder, write_bytes, write_file};
//!
//! # let home = tempfile::tempdir()?;
//! # let home = home.path();
//! write_bytes(&home.join("config.toml"), b"seed = 1\n")?;
//! write_file(&home.join("table.csv"), |out| writeln!(out, "class,AP\nowl,{}", 0.5))?;
//!
//! let folder = NewFolder::begin(&home.join("set"))?;
//! folder.write("labels/1.txt", b"0 0.5 0.5 0.1 0.1\n")?;
//! assert!(!home.join("set").exists());
//! folder.finish()?;
//! assert!(home.join("set/labels/1.txt").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod error;
pub mod file;
pub mod folder;
pub mod temporary;

pub use error::FileError;
pub use file::{write_bytes, write_file, write_file_with};
pub use folder::NewFolder;
pub use temporary::{final_name, remove_leftovers, temporary_path};
