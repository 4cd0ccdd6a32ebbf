//! The derives behind `ansible-module`: `Options` for what a user may write, `Returns` for what a module replies.
//!
//! Doc comments, field names and types become one constant table, so that decoding, documentation and the
//! controller's `argument_spec` cannot disagree.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Attribute, Data, DataEnum, DataStruct, DeriveInput, Fields, LitStr, Meta, parse_macro_input,
};

/// Derives the option table of a struct, or the choices of an enum of unit variants.
///
/// On a field: `#[option(alias = "…", default = "…")]`, or `#[option(include)]` for a struct of options that stand among the others, as if they were
/// written there, its rules too. With `documents = "…"` the comment on that field is the documentation of this one included option, for what a module
/// has to say about it. On the struct: `#[options(required_if = "state=absent:name|id",
/// mutually_exclusive = "a|b", required_one_of = "a|b", required_together = "a,b", required_by = "a:b,c")]`.
#[proc_macro_derive(Options, attributes(option, options))]
pub fn options(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let tokens = match &input.data {
        Data::Struct(data) => options_struct(&input, data),
        Data::Enum(data) => options_enum(&input, data),
        Data::Union(_) => Err(syn::Error::new_spanned(&input.ident, "a union has no options")),
    };
    tokens.unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Derives the table of returned values from a struct, or the values of an enum of unit variants.
#[proc_macro_derive(Returns, attributes(returns))]
pub fn returns(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let tokens = match &input.data {
        Data::Struct(data) => returns_struct(&input, data),
        Data::Enum(data) => {
            choices(data).map(|(names, docs, _)| shape_of_enum(&input, &names, &docs))
        }
        Data::Union(_) => Err(syn::Error::new_spanned(&input.ident, "a union is not returned")),
    };
    tokens.unwrap_or_else(|error| error.to_compile_error()).into()
}

fn doc(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter(|attr| attr.path().is_ident("doc")).filter_map(|attr| {
        match &attr.meta {
            Meta::NameValue(pair) => match &pair.value {
                syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => {
                    Some(text.value().trim().to_owned())
                }
                _ => None,
            },
            _ => None,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `ShutDown` is written `shut_down`, as serde's `rename_all = "snake_case"` has it.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// Name, type, documentation and attributes of a field.
type Field = (syn::Ident, syn::Type, String, Vec<Attribute>);

fn named(data: &DataStruct, what: &syn::Ident) -> syn::Result<Vec<Field>> {
    let Fields::Named(fields) = &data.fields else {
        return Err(syn::Error::new_spanned(what, "named fields only"));
    };
    let mut all = Vec::new();
    for field in &fields.named {
        let Some(ident) = field.ident.clone() else { continue };
        let doc = doc(&field.attrs);
        if doc.is_empty() {
            return Err(syn::Error::new_spanned(
                ident,
                "it is shown to users: write a doc comment",
            ));
        }
        all.push((ident, field.ty.clone(), doc, field.attrs.clone()));
    }
    Ok(all)
}

type Choices = (Vec<String>, Vec<String>, Vec<syn::Ident>);

fn choices(data: &DataEnum) -> syn::Result<Choices> {
    let (mut names, mut docs, mut idents) = (vec![], vec![], vec![]);
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(syn::Error::new_spanned(variant, "choices are unit variants"));
        }
        names.push(snake(&variant.ident.to_string()));
        docs.push(doc(&variant.attrs));
        idents.push(variant.ident.clone());
    }
    Ok((names, docs, idents))
}

fn shape_of_enum(input: &DeriveInput, names: &[String], docs: &[String]) -> TokenStream {
    let name = &input.ident;
    quote! {
        impl ::ansible_module::options::Shape for #name {
            const TYPE: ::ansible_module::options::Type = ::ansible_module::options::Type {
                choices: &[#((#names, #docs)),*], ..::ansible_module::options::Type::plain("str")
            };
        }
    }
}

fn options_enum(input: &DeriveInput, data: &DataEnum) -> syn::Result<TokenStream> {
    let (names, docs, idents) = choices(data)?;
    let (name, shape) = (&input.ident, shape_of_enum(input, &names, &docs));
    Ok(quote! {
        #shape
        impl ::ansible_module::options::Value for #name {
            fn decode(at: &::ansible_module::options::At, value: &::ansible_module::Json) -> Result<Self, ::ansible_module::BadArgs> {
                match ::ansible_module::options::choice(at, value, &[#(#names),*])? { #(#names => Ok(Self::#idents),)* other => Err(at.not_a_choice(other, &[#(#names),*])) }
            }
        }
    })
}

/// The parts of a struct's table, and how each of its fields is read.
#[derive(Default)]
struct Parts {
    /// Slices of the table, in order.
    tables: Vec<TokenStream>,
    /// Options of its own that no slice has yet.
    own: Vec<TokenStream>,
    /// Structs whose options stand among its own.
    included: Vec<syn::Type>,
    read: Vec<TokenStream>,
    idents: Vec<syn::Ident>,
}

impl Parts {
    fn cut(&mut self) {
        let own = std::mem::take(&mut self.own);
        if !own.is_empty() {
            self.tables.push(quote!(&[#(#own),*]));
        }
    }

    fn include(&mut self, ty: &syn::Type, documents: Option<&LitStr>, doc: &str) {
        self.cut();
        let table = quote!(<#ty as ::ansible_module::options::Options>::TABLE);
        self.tables.push(match documents {
            None => table,
            Some(name) => quote!(&::ansible_module::options::documented::<{ #table.len() }>(#table, #name, #doc)),
        });
        self.included.push(ty.clone());
    }

    /// One constant slice out of several.
    fn joined(item: &TokenStream, nothing: &TokenStream, slices: &[TokenStream]) -> TokenStream {
        if let [only] = slices {
            return only.clone();
        }
        quote!({
            const PARTS: &[&[#item]] = &[#(#slices),*];
            const ALL: [#item; ::ansible_module::options::length(PARTS)] = ::ansible_module::options::joined(#nothing, PARTS);
            &ALL
        })
    }
}

/// What stands in `#[option(…)]` of a field.
#[derive(Default)]
struct Said {
    aliases: Vec<LitStr>,
    default: Option<LitStr>,
    include: bool,
    documents: Option<LitStr>,
}

impl Said {
    fn read(attrs: &[Attribute]) -> syn::Result<Self> {
        let mut said = Self::default();
        for attr in attrs.iter().filter(|attr| attr.path().is_ident("option")) {
            attr.parse_nested_meta(|meta| {
                if meta.path.is_ident("include") {
                    said.include = true;
                    return Ok(());
                }
                let text: LitStr = meta.value()?.parse()?;
                if meta.path.is_ident("alias") {
                    said.aliases.push(text);
                } else if meta.path.is_ident("default") {
                    said.default = Some(text);
                } else if meta.path.is_ident("documents") {
                    said.documents = Some(text);
                } else {
                    return Err(meta.error("expected alias, default, include or documents"));
                }
                Ok(())
            })?;
            if said.documents.is_some() && !said.include {
                return Err(syn::Error::new_spanned(attr, "documents goes with include"));
            }
            if said.include && (said.default.is_some() || !said.aliases.is_empty()) {
                return Err(syn::Error::new_spanned(
                    attr,
                    "what is included has no name of its own",
                ));
            }
        }
        Ok(said)
    }
}

fn parts(input: &DeriveInput, data: &DataStruct) -> syn::Result<Parts> {
    let mut parts = Parts::default();
    for (ident, ty, doc, attrs) in named(data, &input.ident)? {
        let Said { aliases, default, include, documents } = Said::read(&attrs)?;
        if include {
            parts.include(&ty, documents.as_ref(), &doc);
            parts.read.push(quote!(<#ty as ::ansible_module::options::Options>::read(map, at)?));
        } else {
            let key = ident.to_string();
            let key = key.trim_start_matches("r#");
            let default = default.map_or_else(|| quote!(None), |text| quote!(Some(#text)));
            parts.own.push(quote!(::ansible_module::options::Opt { name: #key, doc: #doc, aliases: &[#(#aliases),*], default: #default,
                ty: <#ty as ::ansible_module::options::Shape>::TYPE }));
            parts.read.push(quote!(::ansible_module::options::field::<#ty>(map, at, #key)?));
        }
        parts.idents.push(ident);
    }
    parts.cut();
    Ok(parts)
}

fn options_struct(input: &DeriveInput, data: &DataStruct) -> syn::Result<TokenStream> {
    let (name, about) = (&input.ident, doc(&input.attrs));
    let Parts { tables, included, read, idents, .. } = parts(input, data)?;
    let mut rules = vec![];
    for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("options")) {
        attr.parse_nested_meta(|meta| {
            let rule = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            let text: LitStr = meta.value()?.parse()?;
            rules.push(quote!((#rule, #text)));
            Ok(())
        })?;
    }
    let mut all_rules = vec![quote!(&[#(#rules),*])];
    all_rules.extend(
        included.iter().map(|ty| quote!(<#ty as ::ansible_module::options::Options>::RULES)),
    );
    let table = Parts::joined(
        &quote!(::ansible_module::options::Opt),
        &quote!(::ansible_module::options::Opt::NONE),
        &tables,
    );
    let rules = Parts::joined(&quote!((&str, &str)), &quote!(("", "")), &all_rules);
    Ok(quote! {
        impl ::ansible_module::options::Options for #name {
            const ABOUT: &'static str = #about;
            const TABLE: &'static [::ansible_module::options::Opt] = #table;
            const RULES: &'static [(&'static str, &'static str)] = #rules;

            fn read(map: &::ansible_module::options::Given, at: &::ansible_module::options::At) -> Result<Self, ::ansible_module::BadArgs> {
                Ok(Self { #(#idents: #read),* })
            }
        }
        impl ::ansible_module::options::Shape for #name {
            const TYPE: ::ansible_module::options::Type = ::ansible_module::options::Type {
                sub: <Self as ::ansible_module::options::Options>::TABLE,
                rules: <Self as ::ansible_module::options::Options>::RULES,
                ..::ansible_module::options::Type::plain("dict")
            };
        }
        impl ::ansible_module::options::Value for #name {
            fn decode(at: &::ansible_module::options::At, value: &::ansible_module::Json) -> Result<Self, ::ansible_module::BadArgs> {
                let (map, unknown) = ::ansible_module::options::normal::<Self>(at, value)?;
                let all = <Self as ::ansible_module::options::Options>::read(&map, at)?;
                ::ansible_module::options::rules::<Self>(at, &map)?;
                unknown.map_or(Ok(all), Err)
            }
        }
    })
}

fn returns_struct(input: &DeriveInput, data: &DataStruct) -> syn::Result<TokenStream> {
    let name = &input.ident;
    let mut table = vec![];
    for (ident, ty, doc, _) in named(data, name)? {
        let key = ident.to_string();
        table.push(quote!(::ansible_module::options::Opt { name: #key, doc: #doc, aliases: &[], default: None,
            ty: <#ty as ::ansible_module::options::Shape>::TYPE }));
    }
    Ok(quote! {
        impl ::ansible_module::options::Shape for #name {
            const TYPE: ::ansible_module::options::Type = ::ansible_module::options::Type {
                sub: &[#(#table),*], ..::ansible_module::options::Type::plain("dict")
            };
        }
    })
}
