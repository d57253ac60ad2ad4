//! An aggregate: what past events of one stream add up to.
