//! Names in braces: the tables of one read model, among those of others.

use factum::ReadModelName;

/// What the names of a read model's tables begin with: `balances@2.accounts` is its table `accounts`.
pub(crate) fn prefix(model: &ReadModelName) -> String {
    format!("{model}.")
}

/// A name, quoted.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The statement with each `{name}` as the name of this read model's table. What stands in quotes, and a brace that begins no
/// name, stays as it is.
pub(crate) fn resolve(sql: &str, model: &ReadModelName) -> String {
    let mut resolved = String::with_capacity(sql.len() + 32);
    let mut rest = sql;
    while let Some(at) = rest.find(['{', '\'', '"']) {
        resolved.push_str(&rest[..at]);
        rest = &rest[at..];
        let (written, taken) = match rest.as_bytes()[0] {
            b'{' => match name(rest) {
                Some(name) => (quoted(&(prefix(model) + name)), name.len() + 2),
                None => ("{".to_owned(), 1),
            },
            quote => {
                let end = rest[1..].find(char::from(quote)).map_or(rest.len(), |end| end + 2);
                (rest[..end].to_owned(), end)
            }
        };
        resolved.push_str(&written);
        rest = &rest[taken..];
    }
    resolved + rest
}

/// The name that stands in braces at the beginning of a text.
fn name(text: &str) -> Option<&str> {
    let name = &text[1..text.find('}')?];
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[track_caller]
    fn check(sql: &str, expected: &str) {
        assert_eq!(resolve(sql, &"balances@2".parse().unwrap()), expected);
    }

    #[test]
    fn a_name_in_braces_is_that_of_the_read_models_own_table() {
        check("SELECT * FROM {a} JOIN {b_2}", r#"SELECT * FROM "balances@2.a" JOIN "balances@2.b_2""#);
        check("CREATE INDEX {by_owner} ON {a} (owner)", r#"CREATE INDEX "balances@2.by_owner" ON "balances@2.a" (owner)"#);
    }

    #[test]
    fn what_stands_in_quotes_and_what_is_no_name_stays() {
        check("INSERT INTO {a} VALUES ('{b}', 'it''s {c}')", r#"INSERT INTO "balances@2.a" VALUES ('{b}', 'it''s {c}')"#);
        check(r#"SELECT "{a}", { b }, {}, {"#, r#"SELECT "{a}", { b }, {}, {"#);
        check("SELECT 'open {a}", "SELECT 'open {a}");
    }
}
