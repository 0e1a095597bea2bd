"""How sources are told apart: by independence or simplicity of factors or loadings."""
