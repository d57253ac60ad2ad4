//! PostgreSQL for tests: a server of the test's own, that ends with it.
