//! The manifests' documents.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// One manifest.
pub struct Manifest {
    /// The file's name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Its documents, in order.
    pub documents: Vec<Value>,
}

impl Manifest {
    /// Reads a text.
    pub fn new(name: &str, text: String) -> Self {
        let documents = serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), text, documents }
    }

    /// The documents of this kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.documents.iter().filter(move |document| document["kind"] == kind)
    }
}

/// All that are in the tree.
pub fn all() -> Vec<Manifest> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../containerdisk/manifests");
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    assert!(paths.len() >= 5, "{paths:?}");
    paths.iter().map(|path| Manifest::new(&path.file_name().unwrap().to_string_lossy(), fs::read_to_string(path).unwrap())).collect()
}

/// Those with a gateway in them: one per topology.
pub fn topologies() -> Vec<Manifest> {
    let mut all = all();
    all.retain(|manifest| manifest.of_kind("VirtualMachine").next().is_some());
    assert_eq!(all.len(), 4);
    all
}

/// The gateway's VirtualMachineInstance.
pub fn machine(manifest: &Manifest) -> &Value {
    &manifest.of_kind("VirtualMachine").next().unwrap()["spec"]["template"]["spec"]
}
