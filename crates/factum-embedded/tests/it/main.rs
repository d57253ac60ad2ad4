//! The store on local disk at its boundary.

mod smoke;
