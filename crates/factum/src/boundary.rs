//! A boundary: what past events selected by a query add up to (DCB).
