use candle_core::quantized::gguf_file::Content;
use std::path::Path;
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct GgufError(pub(crate) String);
pub(crate) struct GgufFile {
    content: Content,
    file: std::io::BufReader<std::fs::File>,
}
impl GgufFile {
    pub(crate) fn open(path: &Path) -> Result<Self, GgufError> {
        let mut file = std::io::BufReader::with_capacity(
            1 << 20,
            std::fs::File::open(path).map_err(|e| GgufError(e.to_string()))?,
        );
        let content = Content::read(&mut file).map_err(|e| GgufError(e.to_string()))?;
        Ok(Self { content, file })
    }
    fn get(&self, key: &str) -> Result<&candle_core::quantized::gguf_file::Value, GgufError> {
        self.content.metadata.get(key).ok_or_else(|| GgufError(format!("missing {key}")))
    }
    pub(crate) fn u32(&self, key: &str) -> Result<u32, GgufError> {
        self.get(key)?.to_u32().map_err(|e| GgufError(e.to_string()))
    }
    pub(crate) fn f32(&self, key: &str) -> Result<f32, GgufError> {
        self.get(key)?.to_f32().map_err(|e| GgufError(e.to_string()))
    }
    pub(crate) fn str(&self, key: &str) -> Result<&str, GgufError> {
        self.get(key)?.to_string().map(|s| s.as_str()).map_err(|e| GgufError(e.to_string()))
    }
    pub(crate) fn strings(&self, key: &str) -> Result<Vec<String>, GgufError> {
        Ok(self
            .get(key)?
            .to_vec()
            .map_err(|e| GgufError(e.to_string()))?
            .iter()
            .filter_map(|v| v.to_string().ok().cloned())
            .collect())
    }
    pub(crate) fn tensor(&mut self, name: &str) -> Result<Vec<f32>, GgufError> {
        let t = self
            .content
            .tensor(&mut self.file, name, &candle_core::Device::Cpu)
            .map_err(|e| GgufError(e.to_string()))?;
        t.dequantize(&candle_core::Device::Cpu)
            .and_then(|t| t.flatten_all())
            .and_then(|t| t.to_vec1::<f32>())
            .map_err(|e| GgufError(e.to_string()))
    }
    pub(crate) fn raw_tensor(
        &mut self,
        name: &str,
    ) -> Result<(candle_core::quantized::GgmlDType, Vec<u8>), GgufError> {
        let t = self
            .content
            .tensor(&mut self.file, name, &candle_core::Device::Cpu)
            .map_err(|e| GgufError(e.to_string()))?;
        Ok((t.dtype(), t.data().map_err(|e| GgufError(e.to_string()))?.into_owned()))
    }
}
