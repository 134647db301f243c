//! Access to a SAELens configuration's keys, by the names and at the places of versions 3 to 6; hook names.
use super::Told;
use crate::release;
use friction_core::Site;
use serde_json::{Map, Value};

/// Keys with their names in older versions.
const RENAMED: [(&str, &str); 3] =
    [("hook_name", "hook_point"), ("hook_head_index", "hook_point_head_index"), ("activation_fn", "activation_fn_str")];

/// The keys of a configuration.
pub struct Keys<'a> {
    own: &'a Map<String, Value>,
    /// The table in which version 6 keeps what is not a parameter.
    metadata: Option<&'a Map<String, Value>>,
}

impl<'a> Keys<'a> {
    pub fn of(c: &'a Value) -> Told<Self> {
        let own = c.as_object().ok_or("is no JSON object")?;
        let metadata = match own.get("metadata") {
            None | Some(Value::Null) => None,
            Some(Value::Object(m)) => Some(m),
            Some(other) => return Err(format!("`metadata` is {other}, not a table")),
        };
        Ok(Self { own, metadata })
    }

    /// The value of a key, by its new or old name; `None` where it is absent or null.
    pub fn get(&self, key: &str) -> Told<Option<&'a Value>> {
        let says = |key: &str| self.own.get(key).filter(|v| !v.is_null());
        let older = RENAMED.iter().find(|(new, _)| *new == key).map(|(_, old)| *old);
        match (says(key), older.and_then(says)) {
            (Some(a), Some(b)) if a != b => Err(format!("`{key}` is {a}, but `{}` is {b}", older.unwrap_or(key))),
            (a, b) => Ok(a.or(b)),
        }
    }

    pub fn word(&self, key: &str) -> Told<Option<&'a str>> {
        let word = |v: &'a Value| v.as_str().ok_or_else(|| format!("`{key}` is {v}, not a word"));
        self.get(key)?.map(word).transpose()
    }

    pub fn flag(&self, key: &str, default: bool) -> Told<bool> {
        match self.own.get(key) {
            None => Ok(default),
            Some(Value::Bool(b)) => Ok(*b),
            Some(other) => Err(format!("`{key}` is {other}, not true or false")),
        }
    }

    /// The value of a key that is not a parameter: from version 6's `metadata` table, else from the top level.
    pub fn about(&self, key: &str) -> Told<Option<&'a Value>> {
        let new = self.metadata.and_then(|m| m.get(key)).filter(|v| !v.is_null());
        Ok(new.or(self.get(key)?))
    }

    pub fn about_word(&self, key: &str) -> Told<Option<&'a str>> {
        Ok(self.about(key)?.and_then(Value::as_str))
    }

    /// Whether SAELens 6 wrote it. Older versions did not record theirs.
    pub fn six(&self) -> Told<bool> {
        let version = match self.own.get("sae_lens_version").filter(|v| !v.is_null()) {
            Some(v) => Some(v),
            None => self.metadata.and_then(|m| m.get("sae_lens_version")).filter(|v| !v.is_null()),
        };
        let Some(v) = version else { return Ok(false) };
        let major = v.as_str().and_then(|v| v.split('.').next()?.trim().parse::<u64>().ok());
        match major {
            Some(7..) => Err(format!("`sae_lens_version` is {v}; versions 3 to 6 are known")),
            Some(major) => Ok(major == 6),
            None => Err(format!("`sae_lens_version` is {v}, which is no version")),
        }
    }

    /// The site of a hook, by TransformerLens' name under key `hook` or the module's name under key `module`.
    fn site(&self, hook: &str, module: &str) -> Told<Option<Site>> {
        let hooked = self.about_word(hook)?.and_then(hooked);
        Ok(match hooked {
            Some(site) => Some(site),
            None => self.about_word(module)?.and_then(release::site),
        })
    }

    pub fn reads(&self) -> Told<Option<Site>> {
        self.site("hook_name", "hf_hook_name")
    }

    pub fn writes(&self) -> Told<Option<Site>> {
        self.site("hook_name_out", "hf_hook_name_out")
    }
}

/// The site of a TransformerLens hook name. A site without one is written by this project's own name.
fn hooked(hook: &str) -> Option<Site> {
    if hook == "hook_embed" {
        return Some(Site::Embed);
    }
    let Some(block) = hook.strip_prefix("blocks.") else { return hook.parse().ok() };
    let (layer, what) = block.split_once('.')?;
    let l = layer.parse().ok()?;
    Some(match what {
        "hook_resid_post" => Site::ResidPost(l),
        "hook_resid_pre" => Site::ResidPre(l),
        "hook_mlp_out" => Site::MlpOut(l),
        "attn.hook_z" => Site::AttnOut(l),
        _ => return None,
    })
}

/// TransformerLens' hook name of a site, or this project's own name where it has none.
pub fn hook(site: Site) -> String {
    match site {
        Site::Embed => "hook_embed".into(),
        Site::ResidPre(l) => format!("blocks.{l}.hook_resid_pre"),
        Site::ResidPost(l) => format!("blocks.{l}.hook_resid_post"),
        Site::AttnOut(l) => format!("blocks.{l}.attn.hook_z"),
        Site::MlpOut(l) => format!("blocks.{l}.hook_mlp_out"),
        other => other.to_string(),
    }
}

/// The sites that a configuration's autoencoder reads and reconstructs.
pub fn sites(c: &Value) -> Told<(Option<Site>, Option<Site>)> {
    let keys = Keys::of(c)?;
    let reads = keys.reads()?;
    if !keys.word("architecture")?.is_some_and(|a| a.ends_with("transcoder")) {
        return Ok((reads, reads));
    }
    match keys.writes()? {
        Some(writes) => Ok((reads, Some(writes))),
        None => {
            Err("does not say what the transcoder writes by a name that is known (`hook_name_out`, `hf_hook_name_out`)"
                .into())
        }
    }
}
