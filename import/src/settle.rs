//! Labels and task of a fitted model: the caller's, or else the file's.

use super::{Fitted, ImportError, bounds::MOST_NAME, listed, quoted};
use blindscore_protocol::descriptor::{Link, Task, pairs};
use std::collections::HashSet;

/// Returns the model with the caller's `labels` instead of the file's, and with the caller's
/// `task`, or else the file's.
///
/// # Errors
/// If they don't fit the model, or its task remains unknown.
pub fn settle(
    mut fitted: Fitted,
    labels: Option<&[String]>,
    task: Option<Task>,
) -> Result<Settled, ImportError> {
    let rows = fitted.coef.len();
    if let Some(task) = task {
        let two_classes = fitted.classes.is_some();
        if fitted.assumed_link && fitted.task != Some(task) && !two_classes {
            // An assumed link gives way to the caller's task.
            fitted.link = match task {
                Task::Regression => Link::Identity,
                Task::Multilabel => Link::Sigmoid,
                Task::Classification => fitted.link,
            };
            fitted.task = None;
        }
        if let Some(known) = fitted.task.filter(|known| *known != task)
            // A score without probabilities may decide by its sign, if the caller says so.
            && !(rows == 1 && fitted.link == Link::Identity && task == Task::Classification)
        {
            let why = match fitted.classes.as_deref() {
                Some([negative, positive]) => {
                    format!(", between {} and {}", quoted(negative), quoted(positive))
                }
                _ => String::new(),
            };
            return refuse(format!(
                "--task is {}, but the model is for {}{why}",
                task.name(),
                known.name()
            ));
        }
        fitted.task = Some(task);
    }
    if let Some(labels) = labels {
        relabel(&mut fitted, labels)?;
    }
    let Some(task) = fitted.task else {
        let names = fitted.labels.as_ref();
        let names = names.map_or_else(String::new, |names| format!(" ({})", listed(names)));
        return refuse(format!(
            "the model gives {rows} scores{names} and doesn't say what they are for: --task regression says that they are values, --task \
             classification that the largest decides, and --task multilabel that each decides for itself"
        ));
    };
    let labels = match (&fitted.labels, fitted.classes.as_deref()) {
        (_, Some(classes)) => names_of_scores(&fitted, classes),
        (Some(labels), None) => labels.clone(),
        // Counted from 0, as in scikit-learn and PyTorch.
        (None, None) => (0..rows).map(|index| index.to_string()).collect(),
    };
    if labels.len() != rows {
        return refuse(format!(
            "the model has names for {} outputs, and {rows} outputs",
            labels.len()
        ));
    }
    let names: HashSet<&String> = fitted
        .classes
        .as_ref()
        .map_or(&labels[..], |classes| &classes[..])
        .iter()
        .collect();
    if names.len() < fitted.classes.as_ref().map_or(rows, Vec::len) {
        let named = fitted.classes.as_ref().unwrap_or(&labels);
        return refuse(format!("two outputs have one name: {}", listed(named)));
    }
    let named = labels
        .iter()
        .chain(fitted.classes.iter().flatten())
        .chain(fitted.features.iter().flatten());
    if let Some(name) = named.into_iter().find(|name| name.len() > MOST_NAME) {
        return refuse(format!(
            "the name {} has {} bytes; at most {MOST_NAME} are allowed",
            quoted(name),
            name.len()
        ));
    }
    if let Some(features) = &fitted.features {
        let columns = fitted
            .encoding
            .as_ref()
            .map_or(fitted.count(), |encoding| encoding.columns.len());
        if features.len() != columns {
            return refuse(format!(
                "the model has names for {} features, and {columns} features",
                features.len()
            ));
        }
        let mut seen = HashSet::new();
        if let Some(name) = features.iter().find(|name| !seen.insert(name.as_str())) {
            return refuse(format!("two features are called {}", quoted(name)));
        }
    }
    Ok(Settled { fitted, task, labels })
}

/// A model with everything known except its precision.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The fitted model.
    pub fitted: Fitted,
    /// Purpose of the scores.
    pub task: Task,
    /// One label per output.
    pub labels: Vec<String>,
}

fn refuse<T>(words: String) -> Result<T, ImportError> {
    Err(ImportError::Options(words))
}

/// Returns the names of the scores that decide between classes.
fn names_of_scores(fitted: &Fitted, classes: &[String]) -> Vec<String> {
    let several = |suffix: &str, scores: usize| -> Vec<String> {
        let named = if scores == 1 { &classes[1..] } else { classes };
        named.iter().map(|class| format!("{class}{suffix}")).collect()
    };
    match fitted.link {
        Link::Mean => {
            let members = fitted.members.iter().enumerate();
            members
                .flat_map(|(place, member)| several(&format!(" by model {}", place + 1), member.scores))
                .collect()
        }
        Link::OneVsOne | Link::Votes => pairs(classes.len())
            .map(|(first, second)| format!("{} over {}", classes[second], classes[first]))
            .collect(),
        _ => several("", 1),
    }
}

/// Replaces the file's labels by the caller's.
fn relabel(fitted: &mut Fitted, labels: &[String]) -> Result<(), ImportError> {
    let rows = fitted.coef.len();
    if let (Link::Mean | Link::OneVsOne | Link::Votes, Some(classes)) = (fitted.link, &mut fitted.classes) {
        if labels.len() != classes.len() {
            return refuse(format!(
                "--labels names {}, the model decides between {} classes",
                labels.len(),
                classes.len()
            ));
        }
        *classes = labels.to_vec();
        return Ok(());
    }
    match (rows, fitted.link, labels) {
        (1, Link::Sigmoid | Link::Identity, [negative, positive])
            if fitted.task != Some(Task::Multilabel) =>
        {
            fitted.classes = Some(vec![negative.clone(), positive.clone()]);
            fitted.labels = None;
            fitted.task = Some(Task::Classification);
        }
        (1, _, [_]) if fitted.task == Some(Task::Classification) => {
            return refuse(
                "--labels names one class; the model decides between two: name both, first the one that a negative score means, as in \
                 --labels no,yes"
                    .into(),
            );
        }
        (rows, _, labels) if rows == labels.len() => fitted.labels = Some(labels.to_vec()),
        (rows, _, labels) => {
            let wanted = match rows {
                1 => "one output, whose two classes may be named".to_owned(),
                rows => format!("{rows} outputs"),
            };
            return refuse(format!("--labels names {}, the model has {wanted}", labels.len()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(rows: usize, link: Link, task: Option<Task>) -> Fitted {
        Fitted {
            task,
            ..Fitted::new(link, vec![vec![1.0, 2.0]; rows], vec![0.0; rows])
        }
    }

    fn names(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    fn settled(fitted: Fitted, labels: &str, task: Option<Task>) -> Result<(Task, Vec<String>), String> {
        let labels = (!labels.is_empty()).then(|| names(labels));
        let settled = settle(fitted, labels.as_deref(), task).map_err(|error| error.to_string())?;
        Ok((settled.task, settled.fitted.classes.unwrap_or(settled.labels)))
    }

    #[test]
    fn labels_fit_the_task_or_are_refused() {
        use Task::{Classification, Multilabel, Regression};
        let value = || scores(1, Link::Identity, Some(Regression));
        let binary = || Fitted {
            classes: Some(["0", "1"].map(str::to_owned).to_vec()),
            ..scores(1, Link::Sigmoid, Some(Classification))
        };
        let open = || scores(3, Link::Identity, None);
        let three = || scores(3, Link::Softmax, Some(Classification));
        for (fitted, labels, task, expected) in [
            (value(), "", None, (Regression, "0")),
            (value(), "price", None, (Regression, "price")),
            (value(), "no,yes", None, (Classification, "no,yes")),
            (binary(), "", None, (Classification, "0,1")),
            (binary(), "ham,spam", None, (Classification, "ham,spam")),
            (open(), "a,b,c", Some(Regression), (Regression, "a,b,c")),
            (open(), "", Some(Classification), (Classification, "0,1,2")),
            (three(), "a,b,c", None, (Classification, "a,b,c")),
            (
                scores(1, Link::Sigmoid, Some(Multilabel)),
                "spam",
                None,
                (Multilabel, "spam"),
            ),
        ] {
            assert_eq!(
                settled(fitted, labels, task),
                Ok((expected.0, names(expected.1))),
                "{labels}"
            );
        }
        for (fitted, labels, task, words) in [
            (binary(), "spam", None, "decides between two"),
            (binary(), "a,b,c", None, "--labels names 3"),
            (binary(), "a,a", None, "one name"),
            (three(), "a,b", None, "--labels names 2, the model has 3"),
            (three(), "a,b,a", None, "one name"),
            (three(), "", Some(Regression), "--task is regression"),
            (open(), "", None, "--task regression"),
        ] {
            let error = settled(fitted, labels, task).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let two_names = Fitted {
            features: Some(names("a")),
            ..three()
        };
        assert!(
            settled(two_names, "", None)
                .unwrap_err()
                .contains("names for 1 features, and 2")
        );
        let same_names = Fitted {
            features: Some(names("a,a")),
            ..three()
        };
        assert!(
            settled(same_names, "", None)
                .unwrap_err()
                .contains("two features")
        );
    }
}
