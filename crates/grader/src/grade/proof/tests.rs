use super::*;
use crate::grade::Assignment;
use crate::grade::tests::homework;

#[test]
fn every_probe_of_the_homework_is_refused_or_right() {
    let proofs = homework().proofs();
    let probes = proofs
        .questions
        .iter()
        .flat_map(|question| &question.unproven);
    // A quantity clipped at 1 may pass where it is never above 1 beside the unit of a question.
    let (clipped, others): (Vec<_>, Vec<_>) = probes.partition(|probe| probe.contains("min("));
    assert!(others.is_empty() && clipped.len() <= 2, "{proofs}");
    for question in &proofs.questions {
        let is_pair = |condition: &Condition| matches!(condition, Condition::LiveWith { .. });
        assert!(question.left_out.iter().all(is_pair), "{question}");
        assert!(question.left_out.len() <= 4, "{question}");
        assert!(question.mistakes.iter().all(|mistake| mistake.networks > 0));
        assert!(question.batch_sizes.len() >= 10, "{question}");
    }
    let of = |id: &str| {
        let mut questions = proofs.questions.iter();
        questions
            .find(|question| question.id == id)
            .expect("it exists")
    };
    assert!(of("1.11").probes > 40, "{}", of("1.11"));
    assert!(of("1.6").probes >= 5, "{}", of("1.6"));
    // A mask that is already there changes nothing.
    assert!(!of("1.7").equal.is_empty(), "{}", of("1.7"));
    let text = of("2.7").to_string();
    assert!(text.contains(" networks (m = 1, 2, 3, 5), "), "{text}");
}

#[test]
fn a_condition_that_a_shape_cannot_meet_is_left_out_and_said() {
    let network = "input_size = 2\nloss = 'half_squared_error'\nlayers = [{ units = 1, activation = 'relu' }, { units = 1, \
                   activation = 'relu' }, { units = 1, activation = 'linear' }]";
    let question = "id = '1'\npart = ''\nprompt = ''\npoints = 1\nbatch = 'one'\nof = 'l'\nwrt = 'h^2'\nsolution = \
                    '\\delta W^3'";
    let text = format!("id = 'a'\ntitle = ''\n[network]\n{network}\n[[questions]]\n{question}");
    let assignment = Assignment::parse(&text, "a.toml").expect("it is right");
    let proofs = Grader::new(assignment, b"secret")
        .expect("it can be graded")
        .proofs();
    let said = proofs.to_string();
    assert!(
        said.contains("left out: unit 1 of layer 1 dead by about 0.02"),
        "{said}"
    );
}

#[test]
fn every_layout_in_which_answers_are_graded_is_proved() {
    let network = "input_size = 2\nloss = 'half_squared_error'\nlayers = [{ units = 2, activation = 'relu' }, { units = 1, \
                   activation = 'linear' }]";
    let question = "id = '1'\npart = ''\nprompt = ''\npoints = 1\nbatch = 'many'\nof = 'l'\nwrt = 'z^2'\nsolution = \
                    '\\frac{1}{m} (h^2 - y)'";
    let text = format!(
        "id = 'a'\ntitle = ''\nlayout = 'either'\n[network]\n{network}\n[[questions]]\n{question}"
    );
    let assignment = Assignment::parse(&text, "a.toml").expect("it is right");
    let proofs = Grader::new(assignment, b"secret")
        .expect("it can be graded")
        .proofs();
    let layouts: Vec<Samples> = (proofs.questions.iter())
        .map(|question| question.layout.samples)
        .collect();
    assert_eq!(layouts, [Samples::Rows, Samples::Columns]);
    let [rows, columns] = &proofs.questions[..] else {
        panic!("one question in two layouts: {proofs}");
    };
    assert!(
        rows.probes > 10 && rows.probes == columns.probes,
        "{proofs}"
    );
    assert_eq!((&rows.met, &rows.equal), (&columns.met, &columns.equal));
    assert!(
        proofs.to_string().contains("samples as columns"),
        "{proofs}"
    );
}

#[test]
fn an_answer_that_fits_by_accident_does_not_hold_elsewhere() {
    let grader = homework();
    let holds = |answer: &str| grader.holds_elsewhere("1.5", answer, 20);
    assert_eq!(holds("\\delta W^3"), Some(true));
    assert_eq!(holds("W^3 (f(x) - y)"), Some(true));
    assert_eq!(holds("\\delta (y \\ge -50) W^3"), Some(true));
    assert_eq!(holds("\\delta (z^3 \\ge 0) W^3"), Some(false));
    assert_eq!(holds("\\foo"), None);
}
