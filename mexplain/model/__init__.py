"""The network (GIA, BIA, Bi-LSTM), its weights, and the Hugging Face Hub."""
