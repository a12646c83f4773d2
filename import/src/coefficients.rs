//! Tables of coefficients, as R and statsmodels write them.

use super::{
    Fitted, ImportError,
    table::{Table, TableError, TableOptions},
};
use blindscore_protocol::{
    columns::{HeaderChoice, number},
    descriptor::{FEATURES, Link, OUTPUTS, Task},
};
use std::{collections::HashSet, io::Cursor};

/// Names of the intercept in R, statsmodels and Stata, in lower case.
const INTERCEPT: [&str; 5] = ["(intercept)", "intercept", "const", "constant", "_cons"];
/// Other columns of summaries, which are no outputs, in lower case.
const STATISTICS: [&str; 22] = [
    "std.error",
    "std.err.",
    "std_error",
    "se",
    "statistic",
    "p.value",
    "p_value",
    "conf.low",
    "conf.high",
    "2.5 %",
    "97.5 %",
    "z",
    "std. error",
    "t value",
    "z value",
    "pr(>|t|)",
    "pr(>|z|)",
    "std err",
    "p>|t|",
    "p>|z|",
    "[0.025",
    "0.975]",
];

/// Reads a table with a row for each feature and one for the intercept, if there is one: the name,
/// and the coefficient for each output. `labels` names the classes of a softmax; one more than
/// there are columns if the first class is the one that the others are compared with.
///
/// # Errors
/// If it has other content.
pub(crate) fn read(
    bytes: Vec<u8>,
    link: Option<Link>,
    labels: Option<&[String]>,
    task: Option<Task>,
    options: &TableOptions,
) -> Result<Fitted, ImportError> {
    let Some(link) = link else {
        return refuse(
            "a table of coefficients doesn't say what becomes of their sum: give --link sigmoid for a logistic regression, softmax for a multinomial \
             one, exp for a log link (Poisson, gamma), or identity for a linear regression"
                .into(),
        );
    };
    let options = TableOptions {
        header: HeaderChoice::Yes,
        ignore: Vec::new(),
        ..options.clone()
    };
    let mut table = Table::read(Box::new(Cursor::new(bytes)), &options, None, None, true)?;
    let header: Vec<String> = table
        .header()
        .unwrap_or_default()
        .iter()
        .map(|name| name.trim().to_owned())
        .collect();
    let outputs = check_header(&header)?;
    check_labels(link, outputs, labels)?;
    let (mut names, mut seen) = (Vec::new(), HashSet::new());
    let mut coef: Vec<Vec<f64>> = vec![Vec::new(); outputs.len()];
    let mut intercept: Option<Vec<f64>> = None;
    for row in table.rows() {
        let (line, record) = row?;
        let name = record.get(0).unwrap_or_default().trim().trim_matches('`');
        check_name(name, line)?;
        if !seen.insert(name.to_owned()) {
            return refuse(format!("line {line} has the name {name:?} a second time"));
        }
        let numbers: Vec<f64> = record
            .iter()
            .skip(1)
            .map(|cell| number(cell.trim()))
            .collect::<Option<_>>()
            .ok_or_else(|| {
                let shown = record.iter().skip(1).collect::<Vec<_>>().join(", ");
                let hint = match shown.trim() {
                    "NA" | "NaN" | "nan" | "" => {
                        ": R writes NA for a column that others determine; fit the model without it"
                    }
                    text if text.contains(',') => {
                        ": write numbers with a point, as write.csv does in R, not write.csv2"
                    }
                    _ => "",
                };
                ImportError::Options(format!(
                    "line {line} has no finite number for {name:?}, but {shown:?}{hint}"
                ))
            })?;
        if is_intercept(name) {
            if intercept.replace(numbers).is_some() {
                return refuse(format!("line {line} has a second intercept, {name:?}"));
            }
            continue;
        }
        if names.len() == *FEATURES.end() {
            return Err(TableError::Size(format!("there are more than {} features", FEATURES.end())).into());
        }
        names.push(name.to_owned());
        coef.iter_mut()
            .zip(numbers)
            .for_each(|(row, number)| row.push(number));
    }
    if names.is_empty() {
        return refuse("there is no row for a feature".into());
    }
    if link == Link::Sigmoid && outputs.len() > 1 && task != Some(Task::Multilabel) {
        return refuse(format!(
            "it has {} columns of coefficients, {}: for a logistic regression, keep the names and the coefficients; if each column is a label of \
             its own, say so with --task multilabel",
            outputs.len(),
            outputs.join(",")
        ));
    }
    let intercept = intercept.unwrap_or_else(|| vec![0.0; outputs.len()]);
    let fitted = outputs_of(link, outputs, labels, coef, intercept)?;
    Ok(Fitted {
        features: Some(names),
        ..fitted
    })
}

/// Returns the names of the outputs.
fn check_header(header: &[String]) -> Result<&[String], ImportError> {
    let [_, outputs @ ..] = header else {
        return refuse("it has no columns".into());
    };
    if outputs.is_empty() {
        return refuse(
            "it has one column: a table of coefficients has their names in the first one, and the coefficients in the second".into(),
        );
    }
    let is_number = |name: &String| number(name).is_some();
    if is_intercept(&header[0])
        || !header[0].is_empty() && outputs.iter().all(is_number) && outputs.len() == 1
    {
        return refuse(format!(
            "its first line, {}, is a coefficient: it needs a line before it with a name for each column, such as term,coefficient",
            header.join(",")
        ));
    }
    if outputs.len() > *OUTPUTS.end() {
        return refuse(format!(
            "it has more than {} columns of coefficients",
            OUTPUTS.end()
        ));
    }
    if let Some(name) = header.iter().skip(1).find(|name| is_intercept(name)) {
        return refuse(format!(
            "it has a column {name:?}, so that each of its lines is an output: swap lines and columns, as write.csv(t(coef(model))) does in R"
        ));
    }
    if let Some(name) = outputs
        .iter()
        .find(|name| STATISTICS.contains(&name.to_lowercase().as_str()))
    {
        return refuse(format!(
            "it has a column {name:?}, which is no coefficient: keep the names and the coefficients, as write.csv(coef(model)) in R and \
             model.params.to_csv in statsmodels write them"
        ));
    }
    Ok(outputs)
}

fn is_intercept(name: &str) -> bool {
    INTERCEPT.contains(&name.to_lowercase().as_str())
}

/// Refuses names that a formula made: clients would be asked for such columns.
fn check_name(name: &str, line: u64) -> Result<(), ImportError> {
    if name.is_empty() {
        return refuse(format!("line {line} has no name of a feature"));
    }
    let made = [":", "|", "[T."].iter().any(|mark| name.contains(mark)) || {
        let function = name.split('(').next().unwrap_or_default();
        let is_word = |text: &str| {
            text.chars()
                .all(|c| c.is_alphanumeric() || ['.', '_'].contains(&c))
        };
        name.contains(')') && !function.is_empty() && is_word(function)
    };
    if made {
        return refuse(format!(
            "line {line} has the coefficient of {name:?}, which a formula makes of columns: make such columns in your data (pandas.get_dummies, \
             model.matrix), fit on them under plain names, and give their names here"
        ));
    }
    Ok(())
}

/// Refuses names of classes that contradict those of the columns.
fn check_labels(link: Link, outputs: &[String], labels: Option<&[String]>) -> Result<(), ImportError> {
    let (Link::Softmax | Link::OneVsRest, Some(labels)) = (link, labels) else {
        return Ok(());
    };
    let counted = outputs
        .iter()
        .enumerate()
        .all(|(place, name)| *name == place.to_string());
    if counted && labels.len() == outputs.len() {
        return refuse(format!(
            "its columns are counted from 0, as statsmodels counts those after the first class, and --labels names {}: name the first class too, or \
             give the columns the names of all classes",
            labels.len()
        ));
    }
    let own = labels
        .get(labels.len().saturating_sub(outputs.len())..)
        .unwrap_or_default();
    let contradicts = outputs.iter().any(|name| labels.contains(name)) && own != outputs;
    if !counted && contradicts {
        return refuse(format!(
            "--labels and the columns of the table name the classes in other orders: the columns are {}",
            outputs.join(",")
        ));
    }
    Ok(())
}

/// Returns the model of these rows, with the classes that the link needs.
fn outputs_of(
    link: Link,
    outputs: &[String],
    labels: Option<&[String]>,
    mut coef: Vec<Vec<f64>>,
    mut intercept: Vec<f64>,
) -> Result<Fitted, ImportError> {
    let count = coef.len();
    let task = match (link, count) {
        (Link::Softmax | Link::OneVsRest, _) => {
            let Some(labels) = labels else {
                return refuse(format!(
                    "--link {} needs the names of the classes: give --labels, in the order of the columns, with the class before them that the others \
                     are compared with, if it has no column",
                    link.name()
                ));
            };
            if link == Link::Softmax && labels.len() == count + 1 {
                // The scores of the class that the others are compared with are zero.
                let features = coef.first().map_or(0, Vec::len);
                coef.insert(0, vec![0.0; features]);
                intercept.insert(0, 0.0);
            } else if labels.len() != count || count < 2 {
                return refuse(format!(
                    "--labels names {} classes, and the table has {count} columns of coefficients",
                    labels.len()
                ));
            }
            Task::Classification
        }
        (Link::Sigmoid, 1) => Task::Classification,
        (Link::Sigmoid, _) => Task::Multilabel,
        (Link::Identity | Link::Exp, _) => Task::Regression,
        (Link::Isotonic | Link::Mean | Link::OneVsOne | Link::Votes, _) => {
            return refuse(format!("--link {} is for several models in one", link.name()));
        }
        (Link::Probability, _) => {
            return refuse(format!("--link {} is for forests", link.name()));
        }
    };
    let two = (link == Link::Sigmoid && count == 1).then(|| ["0", "1"].map(str::to_owned).to_vec());
    Ok(Fitted {
        task: Some(task),
        labels: (coef.len() == outputs.len() && two.is_none()).then(|| outputs.to_vec()),
        classes: two,
        ..Fitted::new(link, coef, intercept)
    })
}

fn refuse<T>(words: String) -> Result<T, ImportError> {
    Err(ImportError::Options(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, link: Link, labels: &str) -> Result<Fitted, String> {
        let labels: Vec<String> = labels.split(',').map(str::to_owned).collect();
        let labels = (!labels[0].is_empty()).then_some(&labels[..]);
        read(
            text.as_bytes().to_vec(),
            Some(link),
            labels,
            None,
            &TableOptions::default(),
        )
        .map_err(|error| error.to_string())
    }

    #[test]
    fn tables_of_r_and_statsmodels_are_read() {
        let logistic = parse(
            "\"\",\"x\"\n\"(Intercept)\",-1.5\n\"age\",0.25\n\"`debt ratio`\",2\n",
            Link::Sigmoid,
            "",
        )
        .unwrap();
        assert_eq!(logistic.features.unwrap(), ["age", "debt ratio"]);
        assert_eq!(
            (logistic.coef, logistic.intercept),
            (vec![vec![0.25, 2.0]], vec![-1.5])
        );
        assert_eq!(logistic.classes.unwrap(), ["0", "1"]);
        let linear = parse(",0\nage,0.25\nincome,1e-05\n", Link::Identity, "").unwrap();
        assert_eq!(
            (linear.task, linear.intercept),
            (Some(Task::Regression), vec![0.0])
        );
        let multinomial = parse(",0,1\nconst,1,2\nage,3,4\n", Link::Softmax, "a,b,c").unwrap();
        assert_eq!(multinomial.coef, [[0.0], [3.0], [4.0]]);
        assert_eq!(multinomial.intercept, [0.0, 1.0, 2.0]);
        let whole = parse("term;a;b\nage;3;4\n", Link::Softmax, "a,b").unwrap();
        assert_eq!(
            (whole.coef.len(), whole.labels.unwrap()),
            (2, vec!["a".to_owned(), "b".into()])
        );
    }

    #[test]
    fn what_is_unclear_is_refused() {
        for (text, link, labels, words) in [
            (",x\nage,1\n", Link::Softmax, "", "needs the names"),
            (",x\nage,1\n", Link::Softmax, "a,b,c", "names 3 classes"),
            (",x\nage,1\n", Link::Softmax, "a", "names 1 classes"),
            (",a,b\nage,1,2\n", Link::Mean, "", "several models"),
            (
                ",Estimate,Std. Error\nage,1,2\n",
                Link::Sigmoid,
                "",
                "no coefficient",
            ),
            (",x\nage,NA\n", Link::Sigmoid, "", "R writes NA"),
            (",x\nage,1\nage,2\n", Link::Sigmoid, "", "a second time"),
            (
                ",x\nconst,1\nIntercept,2\nage,1\n",
                Link::Sigmoid,
                "",
                "second intercept",
            ),
            ("term;x\nage;1,5\n", Link::Sigmoid, "", "with a point"),
            (
                "(Intercept),-1.5\nage,1\n",
                Link::Sigmoid,
                "",
                "needs a line before it",
            ),
            ("age,1\nincome,2\n", Link::Sigmoid, "", "needs a line before it"),
            (",a,b\nage,1,2\n", Link::Sigmoid, "", "--task multilabel"),
            (",0,1\nage,1,2\n", Link::Softmax, "a,b", "counted from 0"),
            (",b,c\nage,1,2\n", Link::Softmax, "c,b", "other orders"),
            (",b,c\nage,1,2\n", Link::Softmax, "b,c,a", "other orders"),
            (",x\n0|1,1\n", Link::Sigmoid, "", "which a formula makes"),
            (
                ";x\npoly(age, 2)1;1\n",
                Link::Sigmoid,
                "",
                "which a formula makes",
            ),
            (",x\nage:income,1\n", Link::Sigmoid, "", "which a formula makes"),
            (
                ",x\nC(job)[T.nurse],1\n",
                Link::Sigmoid,
                "",
                "which a formula makes",
            ),
            (",x\nI(age^2),1\n", Link::Sigmoid, "", "which a formula makes"),
            (",x\n,1\n", Link::Sigmoid, "", "no name of a feature"),
            (",x\nconst,1\n", Link::Sigmoid, "", "no row for a feature"),
            ("age\n1\n", Link::Sigmoid, "", "one column"),
            (
                ",(Intercept),age\nb,1,2\nc,3,4\n",
                Link::Softmax,
                "a,b,c",
                "swap lines and columns",
            ),
        ] {
            let error = parse(text, link, labels).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let no_link = read(
            b",x\nage,1\n".to_vec(),
            None,
            None,
            None,
            &TableOptions::default(),
        )
        .unwrap_err();
        assert!(no_link.to_string().contains("--link sigmoid"), "{no_link}");
    }
}
