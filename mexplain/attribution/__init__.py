"""Attribution of one logit to pixels and blocks, and tests of its faithfulness."""
