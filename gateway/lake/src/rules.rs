//! Rules across columns as SQL expressions, evaluated a batch at a time.
//!
//! The language is SQL as DataFusion reads it, cut down to what one row can answer: columns, literals, arithmetic,
//! comparisons, AND, OR, NOT, IS, BETWEEN, IN, LIKE, CASE, CAST and the functions in [`functions`]. The planner is given
//! no others, no table, and nothing that knows the time; and whatever it makes of the text is looked through once more.
//! Names are case-sensitive; one that is no plain word stands in double quotes. `a / b` of whole numbers is whole.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::execution::SessionStateBuilder;
use datafusion::functions::{core, math, unicode};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarUDF, Volatility, cast, lit,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use simpul_schemas::Text;
use simpul_schemas::across::{CompiledRule, RuleEngine, RuleSource};

/// Words and signs of one expression.
const MAX_TOKENS: usize = 250;
/// Parentheses, NOT and the like inside each other.
const MAX_NESTING: usize = 10;
/// Words such as CASE, CAST and NOT. The parser reads what does not fit one of them a second time with the word as a name, so
/// that its work doubles with each.
const MAX_OPENERS: usize = 12;
/// How deep an expression may be, a chain `a + b + c` counted: evaluation calls itself over it on whatever stack there is.
const MAX_DEPTH: usize = 64;
/// Stack of the thread that reads and plans an expression, in bytes: planners call themselves with large frames.
const STACK: usize = 64 << 20;
/// Characters of the planner's own words that are passed on.
const MAX_WHY: usize = 200;

/// The expression language of contracts.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqlRules;

impl RuleEngine for SqlRules {
    fn compile(&self, source: RuleSource<'_>, schema: &SchemaRef) -> Result<Box<dyn CompiledRule>, Text> {
        bounded(source.expression)?;
        let schema = SchemaRef::clone(schema);
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || plan(source, &schema));
            thread.ok().and_then(|thread| thread.join().ok()).unwrap_or_else(|| Err(unplanned()))
        })
    }
}

/// Compiles an expression that is not too long.
fn plan(source: RuleSource<'_>, schema: &SchemaRef) -> Result<Box<dyn CompiledRule>, Text> {
    let context = context();
    let columns = DFSchema::try_from(schema.as_ref().clone()).map_err(planner)?;
    let read = context.parse_sql_expr(source.expression, &columns).map_err(planner)?;
    look_through(&read)?;
    shallow(&read)?;
    let read = match source.tolerance {
        Some(tolerance) => tolerant(read, tolerance, &columns)?,
        None => read,
    };
    let named = named(&read, &columns);
    if named.is_empty() {
        return Err(Text::fixed("ekspresi tidak menyebut satu kolom pun", "the expression names no column"));
    }
    let expression = context.create_physical_expr(read, &columns).map_err(planner)?;
    match expression.data_type(schema).map_err(planner)? {
        DataType::Boolean => Ok(Box::new(Compiled { expression, columns: named })),
        other => Err(Text::new(
            format!("ekspresi harus bernilai benar atau salah, bukan {other}"),
            format!("the expression has to be true or false, not {other}"),
        )),
    }
}

fn unplanned() -> Text {
    Text::fixed("ekspresi tidak dapat diolah", "the expression could not be processed")
}

/// One expression, ready to run.
#[derive(Debug)]
struct Compiled {
    expression: Arc<dyn PhysicalExpr>,
    columns: Vec<usize>,
}

impl CompiledRule for Compiled {
    fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn evaluate(&self, rows: &RecordBatch) -> Result<BooleanArray, String> {
        let value = self.expression.evaluate(rows).map_err(|error| error.to_string())?;
        let array = match value {
            ColumnarValue::Array(array) => array,
            ColumnarValue::Scalar(scalar) => scalar.to_array_of_size(rows.num_rows()).map_err(|e| e.to_string())?,
        };
        let values = array.as_boolean_opt().filter(|values| values.len() == rows.num_rows());
        values.cloned().ok_or_else(|| format!("{} values of {}", array.len(), array.data_type()))
    }
}

/// What may be called. All of them give the same answer for the same row and use no more memory than the row.
fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        core::nullif(),
        core::greatest(),
        core::least(),
        math::abs(),
        math::ceil(),
        math::floor(),
        math::round(),
        math::trunc(),
        unicode::character_length(),
        unicode::left(),
        unicode::right(),
        unicode::strpos(),
        unicode::substr(),
    ]
}

fn context() -> SessionContext {
    let mut config = SessionConfig::new().set_usize("datafusion.sql_parser.recursion_limit", MAX_NESTING);
    // A column is called what the contract calls it.
    config.options_mut().sql_parser.enable_ident_normalization = false;
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_scalar_functions(functions())
        // It knows that `substr(a, 1, 2)` is a call.
        .with_expr_planners(vec![Arc::new(unicode::planner::UnicodeFunctionPlanner)]);
    SessionContext::new_with_state(state.build())
}

/// Refuses a text that is too long to be planned, before anything calls itself over it.
fn bounded(expression: &str) -> Result<(), Text> {
    let tokens = Tokenizer::new(&GenericDialect {}, expression).tokenize();
    let tokens = tokens.map_err(|why| planner(DataFusionError::Plan(why.to_string())))?;
    let words = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).count();
    let openers = tokens.iter().filter(|token| opens(token)).count();
    if words > MAX_TOKENS {
        return Err(Text::new(
            format!("ekspresi memuat {words} kata dan tanda; batasnya {MAX_TOKENS}"),
            format!("the expression has {words} words and signs; the limit is {MAX_TOKENS}"),
        ));
    }
    if openers > MAX_OPENERS {
        return Err(Text::new(
            format!("ekspresi memuat {openers} kata seperti CASE, CAST, NOT; batasnya {MAX_OPENERS}"),
            format!("the expression has {openers} words such as CASE, CAST, NOT; the limit is {MAX_OPENERS}"),
        ));
    }
    Ok(())
}

/// Whether the parser knows the word and may look for something special behind it. Names in quotes are only names.
fn opens(token: &Token) -> bool {
    use Keyword as K;
    let Token::Word(word) = token else { return false };
    let only_links = matches!(
        word.keyword,
        K::NoKeyword
            | K::AND
            | K::OR
            | K::IS
            | K::NULL
            | K::TRUE
            | K::FALSE
            | K::BETWEEN
            | K::IN
            | K::LIKE
            | K::WHEN
            | K::THEN
            | K::ELSE
            | K::END
            | K::AS
    );
    !only_links
}

/// Refuses everything that one row alone cannot answer.
fn look_through(read: &Expr) -> Result<(), Text> {
    let mut found: Option<Text> = None;
    let walked = read.apply(|part| {
        found = refused(part);
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.map_err(planner)?;
    found.map_or(Ok(()), Err)
}

/// Refuses what is too deep to be evaluated on a small stack.
fn shallow(read: &Expr) -> Result<(), Text> {
    let mut level = vec![read];
    for _ in 0..MAX_DEPTH {
        let mut below = Vec::new();
        for part in level {
            part.apply_children(|child| {
                below.push(child);
                Ok(TreeNodeRecursion::Continue)
            })
            .map_err(planner)?;
        }
        if below.is_empty() {
            return Ok(());
        }
        level = below;
    }
    Err(Text::new(
        format!("ekspresi bertingkat lebih dari {MAX_DEPTH}; kelompokkan bagiannya dengan kurung"),
        format!("the expression is more than {MAX_DEPTH} levels deep; group its parts with parentheses"),
    ))
}

fn refused(part: &Expr) -> Option<Text> {
    let allowed = match part {
        Expr::Column(_)
        | Expr::Literal(..)
        | Expr::Not(_)
        | Expr::Negative(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::Like(_)
        | Expr::Case(_)
        | Expr::Cast(_)
        | Expr::TryCast(_) => true,
        Expr::BinaryExpr(binary) => operator(binary.op),
        Expr::ScalarFunction(call) => {
            call.func.signature().volatility == Volatility::Immutable
                && functions().iter().any(|known| known.name() == call.func.name())
        }
        _ => false,
    };
    (!allowed).then(|| {
        let shown = shortened(&part.to_string());
        Text::new(
            format!("«{shown}» tidak dapat dipakai dalam aturan: hanya kolom baris itu sendiri, tanpa agregat, subkueri, jendela, waktu atau acak"),
            format!("“{shown}” cannot be used in a rule: only the row's own columns, no aggregate, subquery, window, time or chance"),
        )
    })
}

const fn operator(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::Plus
            | Operator::Minus
            | Operator::Multiply
            | Operator::Divide
            | Operator::Modulo
            | Operator::And
            | Operator::Or
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
            | Operator::StringConcat
    )
}

/// The comparison with room for `tolerance` between its sides: `a = b` becomes `|a - b| <= t`, `a <= b` becomes
/// `a - b <= t`.
fn tolerant(read: Expr, tolerance: f64, columns: &DFSchema) -> Result<Expr, Text> {
    let unfit = || {
        Text::fixed(
            "«toleransi» memerlukan satu perbandingan (=, <=, >=, <, >) antara dua bilangan",
            "“toleransi” needs one comparison (=, <=, >=, <, >) of two numbers",
        )
    };
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = read else { return Err(unfit()) };
    for side in [&left, &right] {
        if !side.get_type(columns).map_err(planner)?.is_numeric() {
            return Err(unfit());
        }
    }
    let number = |side: Box<Expr>| cast(*side, DataType::Float64);
    let apart = number(left) - number(right);
    Ok(match op {
        Operator::Eq => math::abs().call(vec![apart]).lt_eq(lit(tolerance)),
        Operator::LtEq => apart.lt_eq(lit(tolerance)),
        Operator::Lt => apart.lt(lit(tolerance)),
        Operator::GtEq => apart.gt_eq(lit(-tolerance)),
        Operator::Gt => apart.gt(lit(-tolerance)),
        _ => return Err(unfit()),
    })
}

/// The columns in the order in which they are named.
fn named(read: &Expr, columns: &DFSchema) -> Vec<usize> {
    let mut found = Vec::new();
    let index = |column: &Column| columns.maybe_index_of_column(column);
    let _ = read.apply(|part| {
        if let Expr::Column(column) = part
            && let Some(index) = index(column)
            && !found.contains(&index)
        {
            found.push(index);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// The planner's own words, on one line.
fn planner(error: DataFusionError) -> Text {
    let why = shortened(&error.strip_backtrace());
    Text::new(format!("ekspresi tidak dapat dipakai: {why}"), format!("the expression cannot be used: {why}"))
}

fn shortened(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_WHY) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, StringArray};

    use super::*;

    fn batch() -> RecordBatch {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("jumlah", Arc::new(Int64Array::from(vec![Some(10), Some(10), None, Some(0)]))),
            ("laki_laki", Arc::new(Int64Array::from(vec![Some(4), Some(4), Some(1), Some(0)]))),
            ("perempuan", Arc::new(Int64Array::from(vec![Some(6), Some(7), Some(1), Some(0)]))),
            ("luas", Arc::new(Float64Array::from(vec![0.1 + 0.2, 0.3, 5.0, 0.0]))),
            ("mulai", Arc::new(Date32Array::from(vec![1, 5, 5, 5]))),
            ("selesai", Arc::new(Date32Array::from(vec![Some(1), Some(4), None, Some(9)]))),
            ("Nama Desa", Arc::new(StringArray::from(vec!["Badak", "badak", "", "Muara"]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn compile(expression: &str, tolerance: Option<f64>) -> Result<Box<dyn CompiledRule>, Text> {
        SqlRules.compile(RuleSource { expression, tolerance }, &batch().schema())
    }

    fn values(expression: &str, tolerance: Option<f64>) -> Vec<Option<bool>> {
        let rule = compile(expression, tolerance).unwrap_or_else(|why| panic!("{expression}: {}", why.en));
        rule.evaluate(&batch()).unwrap().iter().collect()
    }

    #[test]
    fn expressions_over_a_row_are_true_false_or_silent() {
        const T: Option<bool> = Some(true);
        const F: Option<bool> = Some(false);
        for (expression, expected) in [
            ("jumlah = laki_laki + perempuan", [T, F, None, T]),
            ("selesai >= mulai", [T, F, None, T]),
            ("selesai >= DATE '1970-01-03'", [F, T, None, T]),
            ("CASE WHEN jumlah IS NULL THEN laki_laki > 1 ELSE jumlah >= 0 END", [T, T, F, T]),
            ("\"Nama Desa\" LIKE 'B%' OR laki_laki = 0", [T, F, F, T]),
            ("substr(\"Nama Desa\", 1, 1) IN ('B', 'b')", [T, T, F, F]),
            ("character_length(\"Nama Desa\") BETWEEN 1 AND 5 AND NOT (luas > 4)", [T, T, F, T]),
            ("ABS(laki_laki - perempuan) <= greatest(jumlah, 0)", [T, T, T, T]),
            ("CAST(substr(CAST(mulai AS VARCHAR), 1, 4) AS BIGINT) = 1970", [T, T, T, T]),
        ] {
            assert_eq!(values(expression, None), expected, "{expression}");
        }
    }

    #[test]
    fn a_tolerance_gives_room_between_two_numbers() {
        assert_eq!(values("luas = 0.3", None)[..2], [Some(false), Some(true)]);
        assert_eq!(values("luas = 0.3", Some(1e-9))[..2], [Some(true), Some(true)]);
        let sum = "jumlah = laki_laki + perempuan";
        assert_eq!(values(sum, Some(1.0))[..2], [Some(true), Some(true)]);
        assert_eq!(values(sum, Some(0.5))[..2], [Some(true), Some(false)]);
        assert_eq!(values("jumlah >= laki_laki + perempuan", Some(1.0))[..2], [Some(true), Some(true)]);
        assert_eq!(values("laki_laki + perempuan <= jumlah", Some(1.0))[..2], [Some(true), Some(true)]);
        for (expression, tolerance) in
            [("\"Nama Desa\" = 'x'", 1.0), ("jumlah > 1 AND jumlah > 2", 1.0), ("jumlah <> 1", 1.0)]
        {
            assert!(compile(expression, Some(tolerance)).is_err(), "{expression}");
        }
    }

    #[test]
    fn the_columns_that_a_rule_reads_are_named_in_order() {
        assert_eq!(compile("perempuan + laki_laki = jumlah", None).unwrap().columns(), [2, 1, 0]);
        assert_eq!(compile("jumlah = laki_laki + jumlah", Some(1.0)).unwrap().columns(), [0, 1]);
    }

    #[test]
    fn what_a_row_alone_cannot_answer_is_refused() {
        for expression in [
            "",
            "jumlah =",
            "jumlah + 1",
            "TRUE",
            "1 = 1",
            "tidak_ada > 1",
            "Jumlah > 1",
            "sum(jumlah) > 1",
            "count(*) > 1",
            "jumlah > (SELECT 1)",
            "EXISTS (SELECT 1)",
            "jumlah IN (SELECT laki_laki FROM t)",
            "row_number() OVER () = jumlah",
            "sum(jumlah) OVER () > 1",
            "now() > mulai",
            "mulai < CURRENT_DATE",
            "mulai < current_timestamp",
            "random() > luas",
            "uuid() = \"Nama Desa\"",
            "arrow_typeof(jumlah) = 'x'",
            "read_csv('/etc/passwd') = 1",
            "jumlah = $1",
            "jumlah = @@version",
            "\"Nama Desa\" ~ '(a*)*b'",
            "\"Nama Desa\" SIMILAR TO 'a'",
            "jumlah = 1; DROP TABLE t",
            "jumlah = 1 GROUP BY jumlah",
            "*",
            "[jumlah] = [1]",
            "{'a': jumlah} = 1",
            "jumlah > 1 AS x",
            "lpad(\"Nama Desa\", 2000000000) = 'x'",
            "repeat(\"Nama Desa\", 2000000000) = 'x'",
        ] {
            assert!(compile(expression, None).is_err(), "{expression}");
        }
    }

    #[test]
    fn length_and_depth_are_bounded() {
        let sum = |terms: usize| format!("jumlah = {}", vec!["laki_laki"; terms].join("+"));
        let batch = batch();
        assert!(compile(&sum(MAX_DEPTH - 2), None).unwrap().evaluate(&batch).is_ok());
        assert!(compile(&sum(MAX_DEPTH), None).unwrap_err().en.contains("levels deep"));
        assert!(compile(&sum(500), None).unwrap_err().en.contains("the limit is"));
        let nested = |depth: usize| format!("{}jumlah{} = 1", "(".repeat(depth), ")".repeat(depth));
        assert!(compile(&nested(6), None).is_ok());
        for deep in [
            nested(120),
            format!("{} jumlah = 1", "NOT ".repeat(200)),
            format!("{} jumlah = 1", "- ".repeat(200)),
            "CASE WHEN jumlah = 1 THEN ".repeat(MAX_OPENERS),
            "CASE WHEN jumlah = 1 THEN ".repeat(40),
            format!("{}jumlah", "CAST(".repeat(MAX_OPENERS)),
            format!("{}jumlah", "substr(".repeat(MAX_OPENERS)),
            format!("{}jumlah", "INTERVAL ".repeat(MAX_OPENERS)),
            format!("{}jumlah", "jumlah IN (".repeat(60)),
            format!("{}jumlah", "abs(".repeat(120)),
        ] {
            let start = std::time::Instant::now();
            assert!(compile(&deep, None).is_err(), "{deep}");
            assert!(start.elapsed().as_secs() < 10, "{deep}");
        }
        assert!(compile("jumlah = 'x", None).is_err());
    }

    #[test]
    fn a_row_that_cannot_be_computed_fails_the_batch() {
        let rule = compile("jumlah / laki_laki >= 1", None).unwrap();
        assert!(rule.evaluate(&batch()).is_err(), "0 / 0");
        assert!(rule.evaluate(&batch().slice(0, 2)).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_planner_panic(
            text in "[a-z0-9 ()=+*/<>'\"\\-,.]{0,60}|(jumlah|luas|mulai|=|\\+|/|-|\\(|\\)|CASE|WHEN|THEN|END|AND|NOT|IS|NULL|IN|LIKE|'x'|9223372036854775807| ){0,25}"
        ) {
            if let Ok(rule) = compile(&text, None) {
                let _ = rule.evaluate(&batch());
            }
        }
    }
}
