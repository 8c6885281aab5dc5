"""Texts in the language of whoever reads them: messages, catalogues, and the choice among them."""
