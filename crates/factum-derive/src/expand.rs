//! The code that the derive writes.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::item::Item;
use crate::shape::Shape;
use crate::tag;

/// Where the code finds `serde`: the user's crate need not have it.
const SERDE: &str = "::factum::__private::serde";

/// The `Event` of an item.
pub(crate) fn expand(item: &Item) -> TokenStream {
    let event = &item.ident;
    let codec = item.codec.as_ref().map_or_else(|| quote!(::factum::Json), ToTokens::to_token_stream);
    let shapes = item.shapes.iter().map(|shape| {
        let (name, version) = (&shape.name.text, shape.version);
        quote!(::factum::Shape { event_type: #name, schema: #version })
    });
    let (writer, readers) = (writer(item), item.shapes.iter().enumerate().map(|(index, shape)| reader(index, shape)));
    let (shape, tags, decode) = (shape(item), tags(item), decode(item));
    quote! {
        const _: () = {
            const __SHAPES: &[::factum::Shape] = &[#(#shapes),*];
            type __Codec = #codec;
            #writer
            #(#readers)*

            #[automatically_derived]
            impl ::factum::Event for #event {
                const SHAPES: &'static [::factum::Shape] = __SHAPES;

                fn shape(&self) -> ::factum::Shape {
                    #shape
                }

                fn tags(&self) -> ::core::result::Result<::std::vec::Vec<::factum::Tag>, ::factum::NameError> {
                    #tags
                }

                fn encode(&self) -> ::core::result::Result<::factum::Payload, ::factum::CodecError> {
                    ::factum::__private::write::<__Codec>(<Self as ::factum::Event>::shape(self), &__Data(self))
                }

                fn decode(
                    event_type: &str,
                    schema: u32,
                    payload: &::factum::Payload,
                ) -> ::core::result::Result<::core::option::Option<Self>, ::factum::CodecError> {
                    #decode
                }
            }
        };
    }
}

/// A type that stands in for the item where `serde` writes it, so that the item has no `Serialize` that shows, and a
/// borrowed event that is written by it.
fn writer(Item { ident: event, is_enum, shapes, .. }: &Item) -> TokenStream {
    let remote = event.to_string();
    let declaration = if *is_enum {
        let variants = shapes.iter().map(|shape| declaration(&shape.ident, shape));
        quote!(#[serde(untagged)] enum __Write { #(#variants),* })
    } else {
        shapes.iter().map(|shape| structure(&format_ident!("__Write"), shape)).collect()
    };
    quote! {
        #[derive(::factum::__private::serde::Serialize)]
        #[serde(crate = #SERDE, remote = #remote)]
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

/// A struct of a shape's fields, for `serde` to read.
fn reader(index: usize, shape: &Shape) -> TokenStream {
    let (name, structure) = (&shape.name.text, structure(&reader_name(index), shape));
    quote! {
        #[derive(::factum::__private::serde::Deserialize)]
        #[serde(crate = #SERDE, rename = #name)]
        #structure
    }
}

fn reader_name(index: usize) -> Ident {
    format_ident!("__Read{index}")
}

fn structure(name: &Ident, shape: &Shape) -> TokenStream {
    let declaration = declaration(name, shape);
    if shape.is_inner { quote!(#[serde(transparent)] struct #declaration;) } else { quote!(struct #declaration) }
}

/// A name and the fields. Where there are none they are still in braces, which `serde` writes as `{}`.
fn declaration(name: &Ident, shape: &Shape) -> TokenStream {
    let fields = shape.fields.iter().map(crate::shape::Field::declaration);
    if shape.is_inner { quote!(#name(#(#fields),*)) } else { quote!(#name { #(#fields),* }) }
}

fn shape(item: &Item) -> TokenStream {
    let arms = item.shapes.iter().enumerate().map(|(index, shape)| {
        let path = path(item, shape);
        quote!(#path { .. } => __SHAPES[#index])
    });
    quote!(match self { #(#arms),* })
}

fn tags(item: &Item) -> TokenStream {
    if !item.shapes.iter().flat_map(|shape| &shape.fields).any(|field| field.tag.is_some()) {
        return quote!(::core::result::Result::Ok(::std::vec::Vec::new()));
    }
    let arms = item.shapes.iter().map(|shape| {
        let path = path(item, shape);
        let tagged = shape.fields.iter().filter_map(|field| Some((field, field.tag.as_ref()?)));
        let (patterns, adds): (Vec<_>, Vec<_>) = tagged
            .map(|(field, key)| {
                let (member, variable, add) = (&field.member, field.variable(), tag::add(key, &field.ty));
                (quote!(#member: #variable), quote!({ let value = #variable; #add }))
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

fn decode(item: &Item) -> TokenStream {
    let arms = item.shapes.iter().enumerate().map(|(index, shape)| {
        let name = &shape.name.text;
        let old = (1u32..).zip(0..shape.steps.len()).map(|(schema, step)| {
            let upcast = upcast(item, shape, step);
            quote!(#schema => #upcast)
        });
        let (version, current) = (shape.version, current(item, index, shape));
        quote! {
            #name => match schema {
                #(#old,)*
                #version => #current,
                _ => return ::core::result::Result::Err(::factum::__private::unknown_schema(__SHAPES[#index], schema)),
            }
        }
    });
    quote! {
        let stored = |event_type| ::factum::Shape { event_type, schema };
        ::core::result::Result::Ok(::core::option::Option::Some(match event_type {
            #(#arms,)*
            _ => return ::core::result::Result::Ok(::core::option::Option::None),
        }))
    }
}

/// The event of today's data.
fn current(item: &Item, index: usize, shape: &Shape) -> TokenStream {
    let (name, reader, path) = (&shape.name.text, reader_name(index), path(item, shape));
    let fields: Vec<_> = shape
        .fields
        .iter()
        .map(|field| {
            let (member, variable) = (&field.member, field.variable());
            quote!(#member: #variable)
        })
        .collect();
    quote!({
        let #reader { #(#fields),* } = ::factum::__private::read::<__Codec, _>(stored(#name), payload)?;
        #path { #(#fields),* }
    })
}

/// The event of data of an old schema: read as its shape was, then a step at a time.
fn upcast(item: &Item, shape: &Shape, first: usize) -> TokenStream {
    let event = item.ident.to_token_stream();
    let name = &shape.name.text;
    let shapes: Vec<_> = shape.steps.iter().skip(first).map(|step| &step.shape).collect();
    let oldest = shapes.first();
    let nexts = shapes.iter().skip(1).map(ToTokens::to_token_stream).chain([event]);
    let steps = shapes.iter().zip(nexts).map(|(from, into)| {
        // A missing `From` is told at the shape that lacks it.
        quote_spanned!(from.span()=> let old = <#into as ::core::convert::From<#from>>::from(old);)
    });
    let read = quote_spanned! {oldest.span()=>
        let old = ::factum::__private::read::<__Codec, #oldest>(stored(#name), payload)?;
    };
    quote!({ #read #(#steps)* old })
}

/// How the shape is matched and made.
fn path(item: &Item, shape: &Shape) -> TokenStream {
    let (event, ident) = (&item.ident, &shape.ident);
    if item.is_enum { quote!(#event::#ident) } else { quote!(#event) }
}
