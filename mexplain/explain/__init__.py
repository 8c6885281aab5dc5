"""From a video file to a report: window, prediction, spotting, explanation, counterfactuals."""
