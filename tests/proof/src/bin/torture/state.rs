//! What was done so far, in a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use diesel_accounts_proof::checker::Counts;
use serde::{Deserialize, Serialize};

use crate::arguments::Arguments;

/// What was done so far, and where that is written down.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct State {
    pub(crate) seed: u64,
    /// The state of the code that it was done with.
    #[serde(default)]
    code: Option<String>,
    engines: BTreeMap<String, Total>,
    #[serde(skip)]
    folder: PathBuf,
    /// Held for as long as the program runs, so that two do not overwrite each other's totals.
    #[serde(skip)]
    _lock: Option<File>,
}

/// What was done on one engine.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Total {
    /// How many rounds were begun; those that were interrupted are not done again.
    pub(crate) begun: u64,
    pub(crate) milliseconds: u64,
    pub(crate) counts: Counts,
}

impl State {
    /// Goes on where an earlier call was interrupted.
    pub(crate) fn read(arguments: &Arguments) -> Result<Self, String> {
        let folder = arguments.folder.clone();
        let path = path(&folder);
        let wrong = |error: &dyn std::fmt::Display| {
            format!("{}: {error}; --afresh begins anew", path.display())
        };
        std::fs::create_dir_all(&folder).map_err(|error| wrong(&error))?;
        let lock = File::create(folder.join("torture.lock")).map_err(|error| wrong(&error))?;
        lock.try_lock().map_err(|_| format!("{}: another run is at work", path.display()))?;
        let lock = Some(lock);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) if !arguments.is_afresh => text,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(wrong(&error)),
            _ => return Ok(Self::afresh(arguments, lock)),
        };
        let kept: Self = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        if kept.code != arguments.code {
            return match arguments.is_afresh_if_of_other_code {
                true => Ok(Self::afresh(arguments, lock)),
                false => Err(wrong(&"what was done was done with other code")),
            };
        }
        match arguments.seed.is_none_or(|seed| seed == kept.seed) {
            true => Ok(Self { folder, _lock: lock, ..kept }),
            false => Err(wrong(&format!("what was done has the seed {}", kept.seed))),
        }
    }

    fn afresh(arguments: &Arguments, lock: Option<File>) -> Self {
        Self {
            seed: arguments.seed.unwrap_or_else(|| fastrand::u64(..)),
            code: arguments.code.clone(),
            engines: BTreeMap::new(),
            folder: arguments.folder.clone(),
            _lock: lock,
        }
    }

    pub(crate) fn total(&self, engine: &str) -> Total {
        self.engines.get(engine).cloned().unwrap_or_default()
    }

    pub(crate) fn total_mut(&mut self, engine: &str) -> &mut Total {
        self.engines.entry(engine.to_owned()).or_default()
    }

    /// All of it or nothing: whoever interrupts the writing finds the state of before.
    pub(crate) fn write(&self) {
        let path = path(&self.folder);
        let new = path.with_extension("new");
        let text = serde_json::to_string_pretty(self).expect("it is plain data");
        std::fs::write(&new, text).expect("the folder of records is there");
        std::fs::rename(new, path).expect("they are in one folder");
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("torture.json")
}
