//! The tags that fields give.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Error, GenericArgument, LitStr, Member, PathArguments, Result, Token, Type};

use crate::item::Item;

/// The most bytes of a key: a tag has 256, of which the colon and one byte of value are two.
const KEY_BYTES_MAX: usize = 254;

/// `tag`, or `tag = "key"`.
pub(crate) struct TagAttribute {
    span: Span,
    key: Option<LitStr>,
}

impl TagAttribute {
    pub(crate) fn read(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        let key = if meta.input.peek(Token![=]) { Some(meta.value()?.parse()?) } else { None };
        Ok(Self { span: meta.path.span(), key })
    }

    /// The tag's key: the one that is written, or the name of the field.
    pub(crate) fn key(&self, member: &Member) -> Result<String> {
        match (&self.key, member) {
            (Some(key), _) => checked(key),
            (None, Member::Named(name)) => Ok(name.unraw().to_string()),
            (None, Member::Unnamed(_)) => {
                Err(Error::new(self.span, "a field without a name names no tag: write the key, `tag = \"...\"`"))
            }
        }
    }
}

fn checked(key: &LitStr) -> Result<String> {
    let text = key.value();
    let mistake = if text.is_empty() {
        "a tag's key is empty: give it at least one character"
    } else if text.contains(':') {
        "a tag's key ends at the first colon: write the key without one"
    } else if text.contains(char::is_control) {
        "a tag's key has a control character: remove it"
    } else if KEY_BYTES_MAX < text.len() {
        "a tag's key has more than 254 bytes, which leaves no room for a value: shorten it"
    } else {
        return Ok(text);
    };
    Err(Error::new(key.span(), mistake))
}

/// What `Event::tags` does.
pub(crate) fn tags(item: &Item) -> TokenStream {
    if !item.shapes.iter().flat_map(|shape| &shape.fields).any(|field| field.tag.is_some()) {
        return quote!(::core::result::Result::Ok(::std::vec::Vec::new()));
    }
    let arms = item.shapes.iter().map(|shape| {
        let path = item.path(shape);
        let tagged = shape.fields.iter().filter_map(|field| Some((field, field.tag.as_ref()?)));
        let (patterns, adds): (Vec<_>, Vec<_>) = tagged
            .map(|(field, key)| {
                let (variable, add) = (field.variable(), add(key, &field.ty));
                (field.pattern(), quote!({ let value = #variable; #add }))
            })
            .unzip();
        quote!(#path { #(#patterns,)* .. } => { #(#adds)* })
    });
    quote! {
        let mut tags = ::std::vec::Vec::new();
        match self { #(#arms)* }
        ::core::result::Result::Ok(tags)
    }
}

/// What adds the tags of `value`, a reference to a `ty`: of each element, where there is one or many or none.
fn add(key: &str, ty: &Type) -> TokenStream {
    match element(ty) {
        Some(element) => {
            let add = add(key, element);
            quote!(for value in value.iter() { #add })
        }
        None => quote_spanned!(ty.span()=> ::factum::__private::tag(&mut tags, #key, value)?;),
    }
}

/// The `T` of an `Option<T>` or a `Vec<T>`, as it is written: a macro sees no types.
fn element(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(element) if last.ident == "Option" || last.ident == "Vec" => Some(element),
        _ => None,
    }
}
