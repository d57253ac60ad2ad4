//! A licence expression (SPDX 2.3, annex D): may we use what is under it?

/// Whether the licences in `allowed` are enough for the expression.
///
/// # Errors
/// What cannot be understood of the expression.
pub(crate) fn allows(expression: &str, allowed: &[String]) -> Result<bool, String> {
    // Before SPDX, crates wrote `MIT/Apache-2.0`.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut parser = Parser { words: spaced.split_whitespace().peekable(), allowed };
    let allows = parser.alternatives()?;
    match parser.words.next() {
        None => Ok(allows),
        Some(word) => Err(format!("unexpected {word}")),
    }
}

struct Parser<'a, Words: Iterator<Item = &'a str>> {
    words: std::iter::Peekable<Words>,
    allowed: &'a [String],
}

impl<'a, Words: Iterator<Item = &'a str>> Parser<'a, Words> {
    fn alternatives(&mut self) -> Result<bool, String> {
        let mut any = self.all()?;
        while self.words.next_if_eq(&"OR").is_some() {
            any |= self.all()?;
        }
        Ok(any)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut all = self.one()?;
        while self.words.next_if_eq(&"AND").is_some() {
            all &= self.one()?;
        }
        Ok(all)
    }

    fn one(&mut self) -> Result<bool, String> {
        match self.words.next() {
            Some("(") => {
                let inner = self.alternatives()?;
                self.words.next_if_eq(&")").map(|_| inner).ok_or_else(|| "a parenthesis that does not end".to_owned())
            }
            None | Some(")" | "AND" | "OR" | "WITH") => Err("a licence is missing".to_owned()),
            Some(name) => {
                let exception = self.words.next_if_eq(&"WITH").and_then(|_| self.words.next());
                let license = exception.map_or_else(|| name.to_owned(), |exception| format!("{name} WITH {exception}"));
                Ok(self.allowed.contains(&license))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::allows;

    #[track_caller]
    fn check(expression: &str, expected: Result<bool, &str>) {
        let allowed = ["MIT".to_owned(), "Apache-2.0".to_owned(), "Unicode-3.0".to_owned(), "GPL-2.0 WITH X".to_owned()];
        assert_eq!(allows(expression, &allowed), expected.map_err(str::to_owned), "{expression}");
    }

    #[test]
    fn one_alternative_is_enough_and_all_parts_are_needed() {
        check("MIT", Ok(true));
        check("GPL-3.0", Ok(false));
        check("GPL-3.0 OR MIT", Ok(true));
        check("GPL-3.0/MIT", Ok(true));
        check("GPL-3.0 AND MIT", Ok(false));
        check("(MIT OR GPL-3.0) AND Unicode-3.0", Ok(true));
        check("GPL-3.0 AND (MIT OR Apache-2.0)", Ok(false));
    }

    #[test]
    fn and_binds_before_or() {
        check("MIT OR Apache-2.0 AND GPL-3.0", Ok(true));
        check("GPL-3.0 AND Apache-2.0 OR MIT", Ok(true));
        check("GPL-3.0 OR MIT AND GPL-3.0", Ok(false));
    }

    #[test]
    fn an_exception_makes_another_licence() {
        check("GPL-2.0 WITH X", Ok(true));
        check("GPL-2.0", Ok(false));
        check("MIT WITH X", Ok(false));
    }

    #[test]
    fn what_is_no_expression_is_an_error() {
        check("", Err("a licence is missing"));
        check("MIT OR", Err("a licence is missing"));
        check("(MIT", Err("a parenthesis that does not end"));
        check("MIT Apache-2.0", Err("unexpected Apache-2.0"));
    }
}
