//! An nf_tables expression as plain data, and its handing over to libnftnl.

use nftnl::nftnl_sys as sys;
use std::ffi::{CStr, CString};
use std::ptr::NonNull;

/// Longest value that an expression of ours holds: an IPv6 address or an interface's name.
const VALUE_MAX: usize = 16;

/// Name and attributes (`NFTNL_EXPR_…`) of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expression {
    name: &'static CStr,
    attributes: Vec<(u32, Value)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Number(u32),
    /// Handed over in the size that the attribute has in libnftnl.
    Long(u64),
    Bytes(Vec<u8>),
    Text(CString),
    Nested(Box<Expression>),
}

impl Expression {
    /// An expression without attributes. The name must be one that libnftnl knows.
    pub(super) fn new(name: &'static CStr) -> Self {
        Self { name, attributes: Vec::new() }
    }

    /// With a number of 32 bits.
    pub(super) fn number(mut self, attribute: u32, value: u32) -> Self {
        self.attributes.push((attribute, Value::Number(value)));
        self
    }

    /// With a number of 64 bits.
    pub(super) fn long(mut self, attribute: u32, value: u64) -> Self {
        self.attributes.push((attribute, Value::Long(value)));
        self
    }

    /// With a value of at most 16 bytes (what is beyond is cut off).
    pub(super) fn bytes(mut self, attribute: u32, value: &[u8]) -> Self {
        let value = value.iter().copied().take(VALUE_MAX).collect();
        self.attributes.push((attribute, Value::Bytes(value)));
        self
    }

    /// With a name.
    pub(super) fn text(mut self, attribute: u32, value: CString) -> Self {
        self.attributes.push((attribute, Value::Text(value)));
        self
    }

    /// With an expression of its own.
    pub(super) fn nested(mut self, attribute: u32, value: Self) -> Self {
        self.attributes.push((attribute, Value::Nested(Box::new(value))));
        self
    }

    /// Makes libnftnl's own of it. Whoever gets it must hand it on or free it.
    #[expect(unsafe_code, reason = "libnftnl is a C library")]
    fn build(&self) -> NonNull<sys::nftnl_expr> {
        // SAFETY: the name is a terminated string that outlives the call.
        let raw = unsafe { sys::nftnl_expr_alloc(self.name.as_ptr()) };
        // Only an exhausted memory gets here: libnftnl 1.2.4, the oldest that is linked, knows all the names.
        let expression = NonNull::new(raw).unwrap_or_else(|| std::process::abort());
        for (attribute, value) in &self.attributes {
            let Ok(attribute) = u16::try_from(*attribute) else { continue };
            // SAFETY: the expression was allocated above and nobody else has it. Numbers are given to number
            // attributes and texts, terminated, to text attributes; libnftnl copies all of them. Its buffers for
            // values hold 64 bytes, and ours have 16 at most, or the attribute's own size. A nested expression is
            // not copied: it belongs to this one from here on, and is freed with it.
            unsafe {
                match value {
                    Value::Number(number) => sys::nftnl_expr_set_u32(expression.as_ptr(), attribute, *number),
                    Value::Long(number) => sys::nftnl_expr_set_u64(expression.as_ptr(), attribute, *number),
                    Value::Bytes(bytes) => {
                        let length = u32::try_from(bytes.len()).unwrap_or_default();
                        sys::nftnl_expr_set(expression.as_ptr(), attribute, bytes.as_ptr().cast(), length);
                    }
                    Value::Text(text) => {
                        sys::nftnl_expr_set_str(expression.as_ptr(), attribute, text.as_ptr());
                    }
                    Value::Nested(inner) => {
                        let inner = inner.build();
                        sys::nftnl_expr_set(expression.as_ptr(), attribute, inner.as_ptr().cast(), 0);
                    }
                }
            }
        }
        expression
    }
}

impl nftnl::expr::Expression for Expression {
    fn to_expr(&self, _rule: &nftnl::Rule<'_>) -> NonNull<sys::nftnl_expr> {
        self.build()
    }
}
