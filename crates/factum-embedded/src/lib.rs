//! The store on local disk: one folder, one writer, any number of readers.

pub mod disk;
