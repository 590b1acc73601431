//! Reads the imports out of one Rust file: by tokens, so that comments, strings and macro bodies are told apart.

use std::iter::Peekable;
use std::path::Path;

use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// The crate whose modules count as layers of the daemon's too.
const CORE_CRATE: &str = "gateway_ebpf";

/// What the rules look at in one file.
#[derive(Debug)]
pub struct Source {
    /// The module directly below the crate's root that the file belongs to; `main` or `lib` for the root itself.
    pub layer: String,
    /// Every path that leads into a module directly below the crate's root.
    pub imports: Vec<Import>,
    /// The lines on which `unsafe` stands.
    pub unsafe_lines: Vec<usize>,
}

/// One such path.
#[derive(Debug)]
pub struct Import {
    /// `flow`, or `gateway_ebpf::flow`.
    pub path: String,
    /// The line of its first word.
    pub line: usize,
}

impl Source {
    /// Reads the file at `relative`, a path below the crate's source directory.
    pub fn read(relative: &Path, text: &str) -> Result<Self, proc_macro2::LexError> {
        let module = module_path(relative);
        let layer = module.first().cloned().unwrap_or_else(|| relative.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        let mut source = Self { layer, imports: Vec::new(), unsafe_lines: Vec::new() };
        let is_test = module.iter().any(|part| part == "tests");
        source.walk(text.parse()?, &module, is_test);
        Ok(source)
    }

    /// `module` is the path of the module that the tokens stand in; `in_tests` leaves imports alone.
    fn walk(&mut self, tokens: TokenStream, module: &[String], in_tests: bool) {
        let mut tokens = tokens.into_iter().peekable();
        let mut after_mod: Option<String> = None;
        let mut after_colons = false;
        while let Some(token) = tokens.next() {
            let inline_module = after_mod.take();
            match token {
                TokenTree::Group(group) => match inline_module.filter(|_| group.delimiter() == Delimiter::Brace) {
                    Some(name) => {
                        let inner: Vec<String> = module.iter().cloned().chain([name.clone()]).collect();
                        self.walk(group.stream(), &inner, in_tests || name == "tests");
                    }
                    None => self.walk(group.stream(), module, in_tests),
                },
                TokenTree::Ident(word) => {
                    if word == "unsafe" {
                        self.unsafe_lines.push(word.span().start().line);
                    } else if word == "mod" {
                        if let Some(TokenTree::Ident(name)) = tokens.peek() {
                            after_mod = Some(name.to_string());
                        }
                        tokens.next_if(|token| matches!(token, TokenTree::Ident(_)));
                    } else if !after_colons && !in_tests {
                        self.path(&word, &mut tokens, module);
                    }
                }
                _ => {}
            }
            after_colons = false;
            // `x::crate` does not exist, but `other::super_thing::…` must not be taken for the start of a path.
            if is_colons(&mut tokens) {
                after_colons = true;
            }
        }
    }

    /// Follows a path that begins with `word`; what comes after its prefix names the layers.
    fn path(&mut self, word: &Ident, tokens: &mut Peekable<IntoIter>, module: &[String]) {
        let line = word.span().start().line;
        let mut at: Vec<String> = match word.to_string().as_str() {
            "crate" => Vec::new(),
            "super" => parent(module),
            CORE_CRATE => vec![CORE_CRATE.to_owned()],
            _ => return,
        };
        while is_colons(tokens) {
            match tokens.peek() {
                Some(TokenTree::Ident(next)) if next == "super" => {
                    at = parent(&at);
                    tokens.next();
                }
                Some(TokenTree::Ident(next)) => {
                    let name = next.to_string();
                    tokens.next();
                    self.lead_into(&at, &name, line);
                    return;
                }
                Some(TokenTree::Group(group)) => {
                    let names = first_words(&group.stream());
                    tokens.next();
                    names.iter().for_each(|(name, line)| self.lead_into(&at, name, *line));
                    return;
                }
                _ => return,
            }
        }
    }

    fn lead_into(&mut self, at: &[String], name: &str, line: usize) {
        let path = match at {
            [] => name.to_owned(),
            [krate] if krate == CORE_CRATE => format!("{krate}::{name}"),
            [top, ..] => top.clone(),
        };
        // Items of the crate's root itself (`crate::Error`, `crate::MACRO`) begin with a capital; they are no layer.
        if !name.starts_with(char::is_uppercase) || path != *name {
            self.imports.push(Import { path, line });
        }
    }
}

/// Consumes `::` when it comes next.
fn is_colons(tokens: &mut Peekable<IntoIter>) -> bool {
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ':');
    // A lone colon (`x: crate::T`) is no separator: the first of the pair is joint with the second.
    let joint =
        matches!(tokens.peek(), Some(TokenTree::Punct(mark)) if mark.as_char() == ':' && mark.spacing() == proc_macro2::Spacing::Joint);
    joint && tokens.next_if(is_colon).is_some() && tokens.next_if(is_colon).is_some()
}

/// The first word of every member of a `use` group: `{abi, flow::{a, b}}` gives abi and flow.
fn first_words(group: &TokenStream) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    let mut fresh = true;
    for token in group.clone() {
        match token {
            TokenTree::Ident(word) if fresh => {
                names.push((word.to_string(), word.span().start().line));
                fresh = false;
            }
            TokenTree::Punct(mark) if mark.as_char() == ',' => fresh = true,
            _ => fresh = false,
        }
    }
    names
}

/// `nat/mapping.rs` is `[nat, mapping]`, `nat/mod.rs` is `[nat]`, `main.rs` and `lib.rs` are the root.
fn module_path(relative: &Path) -> Vec<String> {
    let mut path: Vec<String> = relative.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if path.last().is_some_and(|last| last == "mod") || (path.len() == 1 && matches!(path[0].as_str(), "main" | "lib")) {
        path.pop();
    }
    path
}

fn parent(module: &[String]) -> Vec<String> {
    module.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default()
}
