//! The way from an old schema to the current one, a step for each schema.

use proc_macro2::Span;
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, LitInt, Result, Token, Type};

use crate::mistakes;

/// `1 = WithdrawnV1`: the shape of an old schema.
pub(crate) struct Upcast {
    schema: u32,
    span: Span,
    /// The type that the schema's data is read as.
    pub(crate) shape: Type,
}

impl Parse for Upcast {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if !input.peek(LitInt) {
            return Err(input.error("write the schema before its shape: `1 = OpenedV1`, say"));
        }
        let schema: LitInt = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self { schema: schema.base10_parse()?, span: schema.span(), shape: input.parse()? })
    }
}

/// The current version of a shape, and where it is said.
#[derive(Clone, Copy)]
pub(crate) struct Current {
    pub(crate) version: u32,
    pub(crate) span: Span,
}

impl Current {
    /// The version that is written; else 1, which a shape has that never changed.
    pub(crate) fn new(version: Option<&LitInt>, span: Span) -> Result<Self> {
        match version.map_or(Ok(1), LitInt::base10_parse)? {
            0 => Err(Error::new(span, "versions count from 1: write `version = 1`, or leave it out")),
            version => Ok(Self { version, span }),
        }
    }
}

/// The steps in the order of their schemas, one for each schema before the current one.
pub(crate) fn steps(mut upcasts: Vec<Upcast>, current: Current, shape: &Ident, event: &Ident) -> Result<Vec<Upcast>> {
    mistakes::all(upcasts.iter().map(|upcast| within(upcast, current)))?;
    upcasts.sort_by_key(|upcast| upcast.schema);
    if let Some([_, twice]) = upcasts.windows(2).find(|pair| matches!(pair, [a, b] if a.schema == b.schema)) {
        let message = format!("schema {} is upcast twice: keep one of the two", twice.schema);
        return Err(Error::new(twice.span, message));
    }
    match (1..current.version).find(|schema| upcasts.iter().all(|upcast| upcast.schema != *schema)) {
        Some(missing) => Err(Error::new(current.span, how_to_add(missing, &upcasts, current, shape, event))),
        None => Ok(upcasts),
    }
}

fn within(upcast: &Upcast, Current { version, .. }: Current) -> Result<()> {
    let message = match upcast.schema {
        0 => "schemas count from 1: no event is stored with schema 0".to_owned(),
        schema if version <= schema => {
            format!(
                "schema {schema} is not older than the current one, which is {version}: \
                 remove this step, or write the `version` that the fields have now"
            )
        }
        _ => return Ok(()),
    };
    Err(Error::new(upcast.span, message))
}

/// What to write for a step that is missing.
fn how_to_add(missing: u32, upcasts: &[Upcast], current: Current, shape: &Ident, event: &Ident) -> String {
    let next = missing + 1;
    let into = match upcasts.iter().find(|upcast| upcast.schema == next) {
        Some(upcast) => upcast.shape.to_token_stream().to_string(),
        None if next == current.version => event.to_string(),
        None => format!("{shape}V{next}"),
    };
    format!(
        "no step leads from schema {missing} of `{shape}` to schema {next}: keep its old shape as a type, \
         `#[derive(Deserialize)] struct {shape}V{missing}`, add `{missing} = {shape}V{missing}` to `upcast(...)`, \
         and write `impl From<{shape}V{missing}> for {into}`"
    )
}
