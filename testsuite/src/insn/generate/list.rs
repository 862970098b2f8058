//! Lists of what is to be made. A line is a template, after `|` what else is to be known of it:
//!
//! ```text
//! # Three registers of the same type
//! add v0.<T>, v1.<T>, v2.<T>            | T=8b,16b,4h,8h,2s,4s,2d
//! saddl v0.<W>, v1.<T>, v2.<T>          | W:T=8h:8b,4s:4h,2d:2s
//! sshl v0.<T>, v1.<T>, v2.<T>           | T=8b,16b v2=shift n=4
//! fadd v0.<T>, v1.<T>, v2.<T>           | T=4h,8h,2s,4s,2d modes
//! ldr x0, [x1], #8                      | x1=data+0x40
//! cbz x1, .+8; mov x0, #1               | x1=0,1
//! ```
//!
//! * `NAME=a,b` puts `a` and `b` in place of `<NAME>`; `N:M=a:x,b:y` does so for several at once.
//!   Names are upper-case; several of them make all combinations. `@` stands for a blank.
//! * `register=value` sets a register, as in a case; several values, by `,`, are all taken in turn. A
//!   kind of value may stand for it: see [`super::operands::Kind`].
//! * `[data+8].q=value` sets memory. A register in square brackets that is not set points to
//!   `data+0x40`, and there lie `mem=N` times 16 random bytes, 1 time if that is not said.
//! * `n=3`: how many cases each combination gets; by default as many as its lanes need.
//! * `modes`: cases with every FPCR mode as well, one each.
//! * `both`: the destination holds random bits before, too.
//! * `not-qemu`, and a comment that gives the reason, for a case whose result is written by hand:
//!   such a case cannot be generated and belongs into a `.ins` file of its own.
//!
//! Instructions that belong together are separated by `;`. Comments go into the cases' file.

use super::GenerateError;

/// A line of the list.
#[derive(Debug)]
pub enum Entry {
    /// A comment, or an empty line.
    Comment(String),
    /// What a template stands for, one a combination.
    Templates(Vec<Template>),
}

/// Instructions and what is known of their operands.
#[derive(Clone, Debug)]
pub struct Template {
    /// File and line.
    pub place: String,
    /// Assembly text, one an instruction.
    pub instructions: Vec<String>,
    /// Registers and memory: their names, and the values to take in turn.
    pub settings: Vec<(String, Vec<String>)>,
    /// How many cases.
    pub count: Option<usize>,
    /// 16-byte pieces of random memory at the base register.
    pub memory: usize,
    /// Whether there are cases for each FPCR mode.
    pub modes: bool,
    /// Whether destinations hold random bits before.
    pub both: bool,
    /// What is written at the cases' end as it is.
    pub marks: Vec<String>,
}

impl Entry {
    /// Its templates.
    #[must_use]
    pub fn templates(&self) -> &[Template] {
        match self {
            Self::Comment(_) => &[],
            Self::Templates(templates) => templates,
        }
    }
}

/// Parses a list.
///
/// # Errors
/// [`GenerateError::List`].
pub fn parse(name: &str, text: &str) -> Result<Vec<Entry>, GenerateError> {
    let parse_line = |(index, line): (usize, &str)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(Entry::Comment(line.to_owned()));
        }
        let place = format!("{name}.gen:{}", index + 1);
        let wrong = |message| GenerateError::List { place: place.clone(), message };
        templates(&place, line).map(Entry::Templates).map_err(wrong)
    };
    text.lines().enumerate().map(parse_line).collect()
}

/// A set of names, and the sets of texts that stand for them.
type Alternatives = Vec<(Vec<String>, Vec<Vec<String>>)>;

fn templates(place: &str, line: &str) -> Result<Vec<Template>, String> {
    let (text, items) = line.split_once('|').unwrap_or((line, ""));
    let mut template = Template {
        place: place.to_owned(),
        instructions: text.split(';').map(|part| part.trim().to_owned()).collect(),
        settings: vec![],
        count: None,
        memory: 1,
        modes: false,
        both: false,
        marks: vec![],
    };
    let mut alternatives: Alternatives = vec![];
    for item in items.split_whitespace() {
        take(&mut template, &mut alternatives, item)?;
    }
    let mut all = vec![template];
    for (names, choices) in &alternatives {
        let filled = all
            .iter()
            .flat_map(|template| choices.iter().map(|choice| template.filled(names, choice)));
        all = filled.collect();
    }
    match all.iter().flat_map(|template| &template.instructions).find(|text| text.contains('<')) {
        Some(text) => Err(format!("nothing stands for a name in '{text}'")),
        None => Ok(all),
    }
}

fn take(template: &mut Template, all: &mut Alternatives, item: &str) -> Result<(), String> {
    let (name, value) = item.split_once('=').unwrap_or((item, ""));
    let number = || value.parse().map_err(|_| format!("'{value}' is no number"));
    match name {
        "n" => template.count = Some(number()?),
        "mem" => template.memory = number()?,
        "modes" => template.modes = true,
        "both" => template.both = true,
        _ if value.is_empty() => return Err(format!("what is '{item}'?")),
        _ if name.starts_with(|first: char| first.is_ascii_uppercase()) => {
            let names: Vec<String> = name.split(':').map(str::to_owned).collect();
            let choices: Vec<Vec<String>> = value
                .split(',')
                .map(|choice| choice.split(':').map(|text| text.replace('@', " ")).collect())
                .collect();
            if choices.iter().any(|choice| choice.len() != names.len()) {
                return Err(format!("'{item}' does not give as many texts as names"));
            }
            all.push((names, choices));
        }
        _ => {
            let values = value.split(',').map(str::to_owned).collect();
            template.settings.push((name.to_owned(), values));
        }
    }
    Ok(())
}

impl Template {
    fn filled(&self, names: &[String], texts: &[String]) -> Self {
        let fill = |text: &String| {
            names
                .iter()
                .zip(texts)
                .fold(text.clone(), |text, (name, by)| text.replace(&format!("<{name}>"), by))
        };
        let mut filled = self.clone();
        filled.instructions = self.instructions.iter().map(fill).collect();
        filled.settings = self
            .settings
            .iter()
            .map(|(name, values)| (fill(name), values.iter().map(fill).collect()))
            .collect();
        filled
    }

    /// Its text, which all that is random depends on.
    #[must_use]
    pub fn text(&self) -> String {
        self.instructions.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        templates("x", line).expect("a good line").iter().map(Template::text).collect()
    }

    #[test]
    fn names_make_combinations() {
        let line = "saddl<H> v0.<W>, v1.<T> | W:T=8h:8b,4s:4h H=,2";
        assert_eq!(
            texts(line),
            [
                "saddl v0.8h, v1.8b",
                "saddl2 v0.8h, v1.8b",
                "saddl v0.4s, v1.4h",
                "saddl2 v0.4s, v1.4h"
            ]
        );
    }

    #[test]
    fn mistakes_are_reported() {
        let error = |line| templates("x", line).expect_err("a bad line");
        assert!(error("add v0.<T>").contains("<T>"));
        assert!(error("add | T:U=8b").contains("as many"));
        assert!(error("add | n=x").contains("no number"));
        assert!(error("add | often").contains("often"));
    }
}
