//! The types that `serde` writes and reads an event's data as.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;
use syn::ext::IdentExt;

use crate::item::Item;
use crate::shape::{Field, Shape};

/// Where the code finds `serde`: the user's crate need not have it.
const SERDE: &str = "::factum::__private::serde";

/// A type that stands in for the item where `serde` writes it, so that the item has no `Serialize` that shows, and a
/// borrowed event that is written by it.
pub(crate) fn writer(Item { ident: event, is_enum, shapes, .. }: &Item) -> TokenStream {
    let (remote, name) = (event.to_string(), event.unraw().to_string());
    let declaration = if *is_enum {
        let variants = shapes.iter().map(|shape| declaration(&shape.ident, shape));
        quote!(#[serde(untagged)] enum __Write { #(#variants),* })
    } else {
        shapes.iter().map(|shape| structure(&format_ident!("__Write"), shape)).collect()
    };
    quote! {
        #[derive(::factum::__private::serde::Serialize)]
        #[serde(crate = #SERDE, remote = #remote, rename = #name)]
        #declaration

        struct __Data<'a>(&'a #event);

        #[automatically_derived]
        impl ::factum::__private::serde::Serialize for __Data<'_> {
            fn serialize<S: ::factum::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                __Write::serialize(self.0, serializer)
            }
        }
    }
}

/// A struct of each shape's fields, for `serde` to read.
pub(crate) fn readers(item: &Item) -> TokenStream {
    item.shapes.iter().enumerate().map(|(index, shape)| reader(item, index, shape)).collect()
}

fn reader(item: &Item, index: usize, shape: &Shape) -> TokenStream {
    let (name, stored_name) = (item.ident.unraw().to_string(), &shape.name.text);
    let structure = structure(&reader_name(index), shape);
    quote! {
        #[derive(::factum::__private::serde::Deserialize)]
        #[serde(crate = #SERDE, rename = #name, expecting = #stored_name)]
        #structure
    }
}

/// The name of the struct that a shape is read as.
pub(crate) fn reader_name(index: usize) -> Ident {
    format_ident!("__Read{index}")
}

fn structure(name: &Ident, shape: &Shape) -> TokenStream {
    let declaration = declaration(name, shape);
    if shape.is_inner { quote!(#[serde(transparent)] struct #declaration;) } else { quote!(struct #declaration) }
}

/// A name and the fields. Where there are none they are still in braces, which `serde` writes as `{}`.
fn declaration(name: &Ident, shape: &Shape) -> TokenStream {
    let fields = shape.fields.iter().map(Field::declaration);
    if shape.is_inner { quote!(#name(#(#fields),*)) } else { quote!(#name { #(#fields),* }) }
}
