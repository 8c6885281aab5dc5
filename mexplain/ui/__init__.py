"""The hub's tabs: each file lays one out and handles what happens on it. Only here, and in app.py, is Gradio used."""
