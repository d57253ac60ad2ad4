//! A bank: accounts, transfers, and the past.
