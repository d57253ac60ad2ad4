//! The systems on PostgreSQL, as far as this program has them in it.

pub(crate) mod factum;
pub(crate) mod python;
