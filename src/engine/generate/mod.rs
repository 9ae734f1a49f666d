//! `generate`: the small model answers, in this process.

mod text;

use super::{Engine, EngineError, ErrorKind};
use crate::model::{
    Cancel, ChatError, Completion, Continuation, FinishReason, Generation, GenerationEvent, Prompt,
    TokenGenerator,
};
use text::Text;

/// Writes an answer and tells of each part.
pub(super) fn run(
    engine: &Engine,
    request: &Generation,
    told: &mut dyn FnMut(GenerationEvent<'_>),
    cancel: &Cancel,
) -> Result<Completion, EngineError> {
    let model = engine.models.generator()?;
    let prompt = tokens(&*model, &request.prompt)?;
    cancel.check()?;
    let continuation = Continuation {
        prompt: &prompt,
        max_tokens: most(prompt.len(), request.max_tokens, model.context())?,
        sampling: request.sampling,
    };
    told(GenerationEvent::Prompt(prompt.len()));
    let mut text = Text::new(&request.stop);
    let mut output = 0;
    let ended = {
        let mut each = |bytes: &[u8]| {
            output += 1;
            let ready = text.push(bytes);
            if !ready.is_empty() {
                told(GenerationEvent::Text(&ready));
            }
            text.stopped().is_none()
        };
        model.generate(&continuation, &mut each, cancel)?
    };
    let finish = match text.stopped() {
        Some(stop) => FinishReason::Stop(stop.to_owned()),
        None if ended => FinishReason::End,
        None => FinishReason::Length,
    };
    let rest = text.finish();
    if !rest.is_empty() {
        told(GenerationEvent::Text(&rest));
    }
    Ok(Completion { input: prompt.len(), output, finish })
}

/// Tokens of a prompt.
pub(super) fn count(engine: &Engine, prompt: &Prompt) -> Result<usize, EngineError> {
    Ok(tokens(&*engine.models.generator()?, prompt)?.len())
}

fn tokens(model: &dyn TokenGenerator, prompt: &Prompt) -> Result<Vec<u32>, EngineError> {
    let refused = |error: ChatError| EngineError::invalid("chat_template", "messages", error.to_string());
    let tokens = model.encode_prompt(prompt).map_err(refused)?;
    if tokens.is_empty() {
        let message = "there is nothing that an answer could follow: give a prompt that is not empty";
        return Err(EngineError::invalid("empty_input", "prompt", message));
    }
    Ok(tokens)
}

/// Most tokens of the answer to a prompt of `prompt` tokens.
fn most(prompt: usize, asked: Option<usize>, context: usize) -> Result<usize, EngineError> {
    let room = context.saturating_sub(prompt);
    let wanted = asked.unwrap_or_else(|| Generation::USUAL_MOST.min(room)).max(1);
    if wanted <= room {
        return Ok(wanted);
    }
    let message = format!(
        "the prompt has {prompt} tokens and the answer may have {wanted}, which together are more than the model's \
         context of {context}: shorten the prompt or ask for a shorter answer"
    );
    let (kind, code) = (ErrorKind::Invalid, "context_length_exceeded");
    Err(EngineError { kind, code, param: Some("messages"), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_and_answer_fit_the_context_together() {
        assert_eq!(most(10, None, 100).unwrap(), 90);
        assert_eq!(most(10, None, 8192).unwrap(), Generation::USUAL_MOST);
        assert_eq!(most(10, Some(90), 100).unwrap(), 90);
        for (prompt, asked) in [(10, Some(91)), (100, None), (200, Some(1)), (1, Some(usize::MAX))] {
            let error = most(prompt, asked, 100).unwrap_err();
            assert_eq!((error.kind, error.code), (ErrorKind::Invalid, "context_length_exceeded"));
            assert!(error.message.contains("context of 100") && error.message.contains("shorten"), "{error}");
        }
    }
}
