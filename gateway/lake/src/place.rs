//! Where data files lie: `_origin=<origin>/_period=<period>/<name>.parquet`, as Hive has it.
//!
//! The log tells the partition values, and the protocol does not care for folders. But some readers, polars among them, take
//! the values from the path, and people find their way by it.

use std::fmt::Write as _;
use std::path::{Component, Path};

use crate::durable;
use crate::error::{LakeError, Result};
use crate::schema::{ORIGIN, PERIOD};

/// What stands for a missing value.
const NOTHING: &str = "__HIVE_DEFAULT_PARTITION__";
/// The longest name of a folder, in bytes.
const MAX_NAME: usize = 255;

/// The folder of the data files of one partition, relative to the folder of the table.
pub(crate) fn folder(origin: &str, period: Option<&str>) -> Result<String> {
    Ok(format!("{}/{}", part(ORIGIN, Some(origin))?, part(PERIOD, period)?))
}

fn part(column: &str, value: Option<&str>) -> Result<String> {
    let Some(value) = value else { return Ok(format!("{column}={NOTHING}")) };
    let mut name = format!("{column}=");
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if value.is_empty() || name.len() > MAX_NAME {
        return Err(LakeError::PartitionValue { column: column.to_owned() });
    }
    Ok(name)
}

/// The form of a path in the log, where it is a URI reference.
pub(crate) fn to_log(path: &str) -> String {
    path.replace('%', "%25")
}

/// The path that the log means.
pub(crate) fn from_log(path: &str) -> String {
    path.replace("%25", "%")
}

/// Whether `path` can be that of a data file.
pub(crate) fn is_data_file(path: &str) -> bool {
    let parts: Vec<Component<'_>> = Path::new(path).components().collect();
    let plain = parts.iter().all(|part| matches!(part, Component::Normal(_)));
    plain && parts.len() == 3 && path.starts_with(ORIGIN) && path.ends_with(".parquet")
}

/// All data files of the table in `table`, in the log or not, relative to it.
pub(crate) fn data_files(table: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for origin in durable::names(table)?.into_iter().filter(|name| name.starts_with(ORIGIN)) {
        for period in durable::names(&table.join(&origin))? {
            let folder = format!("{origin}/{period}");
            let names = durable::names(&table.join(&folder))?;
            found.extend(names.into_iter().map(|name| format!("{folder}/{name}")));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_folder_names_its_partition() {
        let named = folder("64.02.dukcapil/simpeg", Some("2024-01")).unwrap();
        assert_eq!(named, "_origin=64.02.dukcapil%2Fsimpeg/_period=2024-01");
        assert_eq!(to_log(&named), "_origin=64.02.dukcapil%252Fsimpeg/_period=2024-01");
        assert!(folder("a", None).unwrap().ends_with(NOTHING));
        assert!(folder("", None).is_err() && folder("a", Some(&"x".repeat(248))).is_err());
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_folder(origin in ".{1,20}", period in ".{1,20}") {
            let folder = folder(&origin, Some(&period)).unwrap();
            let path = format!("{folder}/x.parquet");
            prop_assert!(is_data_file(&path), "{}", path);
            prop_assert_eq!(from_log(&to_log(&path)), path);
            prop_assert!(folder.split('/').all(|part| part.len() <= 255));
        }
    }
}
