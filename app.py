"""The hub, started from the project's folder or by Hugging Face Spaces."""

from mexplain.ui.app import main

if __name__ == "__main__":
    main()
