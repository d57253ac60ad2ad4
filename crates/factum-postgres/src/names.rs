//! Names in braces: the tables of one read model, among those of others.

use factum::ReadModelName;

/// The schema of a read model's tables: its name.
pub(crate) fn schema(model: &ReadModelName) -> String {
    quoted(&model.to_string())
}

/// A name, quoted.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The statement with each `{name}` as the name in this read model's schema. What stands in quotes, and a brace that begins no
/// name, stays as it is.
pub(crate) fn resolve(sql: &str, model: &ReadModelName) -> String {
    let mut resolved = String::with_capacity(sql.len() + 32);
    let mut rest = sql;
    while let Some(at) = rest.find(['{', '\'', '"']) {
        resolved.push_str(&rest[..at]);
        rest = &rest[at..];
        let (written, taken) = match rest.as_bytes()[0] {
            b'{' => match name(rest) {
                // An index that is created is where its table is, and PostgreSQL wants no schema there.
                Some(name) if creates_index(&resolved) => (quoted(name), name.len() + 2),
                Some(name) => (format!("{}.{}", schema(model), quoted(name)), name.len() + 2),
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

/// Whether what comes next is the name of a new index.
fn creates_index(before: &str) -> bool {
    let words = before.split_whitespace().rev().map(str::to_ascii_uppercase);
    let mut words = words.skip_while(|word| matches!(&word[..], "EXISTS" | "NOT" | "IF"));
    words.next().as_deref() == Some("INDEX") && matches!(words.next().as_deref(), Some("CREATE" | "UNIQUE"))
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
        check("SELECT * FROM {a} JOIN {b_2}", r#"SELECT * FROM "balances@2"."a" JOIN "balances@2"."b_2""#);
        check("DROP INDEX {by_owner}", r#"DROP INDEX "balances@2"."by_owner""#);
    }

    #[test]
    fn a_new_index_is_where_its_table_is() {
        let on =
            |create: &str| check(&format!("{create} {{i}} ON {{a}} (b)"), &format!(r#"{create} "i" ON "balances@2"."a" (b)"#));
        on("CREATE INDEX");
        on("create unique index if not exists");
    }

    #[test]
    fn what_stands_in_quotes_and_what_is_no_name_stays() {
        check("INSERT INTO {a} VALUES ('{b}', 'it''s {c}')", r#"INSERT INTO "balances@2"."a" VALUES ('{b}', 'it''s {c}')"#);
        check(r#"SELECT "{a}", { b }, {}, {"#, r#"SELECT "{a}", { b }, {}, {"#);
        check("SELECT 'open {a}", "SELECT 'open {a}");
    }
}
