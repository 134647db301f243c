//! Sites by depth, such as `resid_post.50%`, become sites of layers when a manifest is read, so that one manifest runs with
//! models of any depth. The name of a direction may begin with one, as in `resid_post.50%/mean-difference`. What is stored
//! of a run names layers.
use friction_checkpoint::{Checkpoint, Error};
use friction_core::manifest::{Issues, ModelSection, Path, Source, Step, deserialize};
use friction_core::{Depth, Site};
use std::path::Path as File;
use toml::Value;

/// Tables whose texts may be sites.
const SECTIONS: [&str; 2] = ["hook", "analyzer"];

/// Puts layers in the place of depths in the tables of hooks and analyzers: those of `model`, whose relative paths refer to
/// its folder, or else those of the manifest's own model, with the folder `base`. The model's configuration is read only
/// if there is a depth.
pub(crate) fn settle(source: &mut Source, base: &File, model: Option<(&ModelSection, &File)>, issues: &mut Issues) {
    let own = source.value.get("model").cloned();
    let mut found = vec![];
    for (key, value) in source.value.iter_mut().filter(|(key, _)| SECTIONS.contains(&key.as_str())) {
        seek(value, Path::default().key(key), &mut found);
    }
    if found.is_empty() {
        return;
    }
    // A fault of the section `[model]` is reported when it is read.
    let own = own.and_then(|own| deserialize(own, &Path::default(), &mut Issues::default()));
    // Of another manifest only the analyzers are used, so where a run has no checkpoint, depths of hooks do no harm.
    let absent = model.and_then(|(model, _)| model.absent());
    let layers = match model {
        Some((model, _)) if model.absent().is_some() => None,
        Some((model, base)) => layers(model, base, issues),
        None => own.and_then(|own| layers(&own, base, issues)),
    };
    for (i, (value, path, depth)) in found.into_iter().enumerate() {
        // Where there is a fault the study is not run. What stands in the place of a depth then differs from every other
        // site, so that it makes no other fault.
        let none = Site::ResidPost((1 << 20) + i);
        let site = match layers.map(|layers| depth.of(layers)) {
            Some(Ok(site)) => site,
            Some(Err(e)) => {
                issues.push(path, e, None);
                none
            }
            None => {
                let asked = path.0.first() == Some(&Step::Key("analyzer".into()));
                if let Some(name) = absent.filter(|_| asked) {
                    let what =
                        format!("a depth has no layer here: the run was imported, and `{name}` is no checkpoint");
                    issues.push(path, what, None);
                }
                none
            }
        };
        let rest = value.as_str().and_then(|name| name.find('/').map(|at| name[at..].to_string()));
        *value = Value::String(format!("{site}{}", rest.unwrap_or_default()));
    }
}

/// Finds the depths in a value.
fn seek<'a>(value: &'a mut Value, path: Path, found: &mut Vec<(&'a mut Value, Path, Depth)>) {
    let head = value.as_str().and_then(|name| name.split('/').next());
    if let Some(depth) = head.and_then(Depth::parse) {
        found.push((value, path, depth));
        return;
    }
    match value {
        Value::Array(all) => all.iter_mut().enumerate().for_each(|(i, v)| seek(v, path.index(i), found)),
        Value::Table(all) => all.iter_mut().for_each(|(key, v)| seek(v, path.key(key), found)),
        _ => {}
    }
}

/// The number of layers of a model.
fn layers(model: &ModelSection, base: &File, issues: &mut Issues) -> Option<usize> {
    let path = Path::default().key("model");
    let revision = model.revision.as_deref();
    let (at, what) = match Checkpoint::resolve(&model.source, revision, None, base, 0) {
        Ok(checkpoint) => return Some(checkpoint.arch.layers()),
        Err(Error::Key { key, message }) => (path.below(&key), message),
        Err(e) => (path.key("source"), e.to_string()),
    };
    issues.push(at, what, None);
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::manifest::ManifestError;

    fn settled(model: &str, sites: &str) -> (Source, Option<Box<ManifestError>>) {
        let text = format!("[model]\nsource = \"{model}\"\n[[hook]]\nplugin = \"residual\"\nsites = {sites}\n");
        let mut source = Source::parse("m.toml", &text, &[]).unwrap();
        let mut issues = Issues::default();
        settle(&mut source, File::new(""), None, &mut issues);
        let wrong = (!issues.is_empty()).then(|| source.locate(issues));
        (source, wrong)
    }

    #[test]
    fn depths_become_layers_of_the_model() {
        let sites = |model: &str| {
            let (source, wrong) = settled(model, "[\"resid_post.50%\", \"resid_post.3\", \"mlp_out.100%/a/b%\"]");
            assert_eq!(wrong, None);
            source.value["hook"][0]["sites"].to_string()
        };
        // 18 and 36 layers.
        assert_eq!(sites("random:gemma-3-270m"), "[\"resid_post.8\", \"resid_post.3\", \"mlp_out.17/a/b%\"]");
        assert_eq!(sites("random:qwen3-4b"), "[\"resid_post.17\", \"resid_post.3\", \"mlp_out.35/a/b%\"]");
        // A run's own model decides, whatever another manifest says of its model.
        let (mut source, _) = settled("random:gemma-3-270m", "[\"resid_post.3\"]");
        source.value["hook"][0]["sites"] = Value::String("resid_post.50%".into());
        let run: ModelSection = serde_json::from_str(r#"{"source": "random:qwen3-4b"}"#).unwrap();
        settle(&mut source, File::new(""), Some((&run, File::new(""))), &mut Issues::default());
        assert_eq!(source.value["hook"][0]["sites"].as_str(), Some("resid_post.17"));
        // A run that was imported has no layers: what other manifests read in hooks is not used, in analyzers it is told.
        let run: ModelSection = serde_json::from_str(r#"{"source": "none:gemma3-4b"}"#).unwrap();
        let imported = |table: &str| {
            let text = format!("[[{table}]]\nsites = [\"resid_post.50%\", \"resid_post.60%\"]\n");
            let (mut source, mut issues) = (Source::parse("m.toml", &text, &[]).unwrap(), Issues::default());
            settle(&mut source, File::new(""), Some((&run, File::new(""))), &mut issues);
            issues.0.len()
        };
        assert_eq!((imported("hook"), imported("analyzer")), (0, 2));
        // Without a depth nothing is read of the model.
        assert_eq!(settled("path:nowhere", "[\"resid_post.3\"]").1, None);
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let told = |model: &str, sites: &str| settled(model, sites).1.unwrap().to_string();
        let e = told("random:gemma-3-270m", "[\"embed\", \"resid_post.0%\"]");
        assert!(e.starts_with("m.toml:5:19: 0 % of 18 blocks are 0"), "{e}");
        let e = told("path:nowhere", "[\"resid_post.50%\", \"resid_post.60%\"]");
        assert!(e.starts_with("m.toml:2:1: ") && e.contains("nowhere"), "{e}");
        assert_eq!(e.lines().count(), 1, "{e}");
    }
}
