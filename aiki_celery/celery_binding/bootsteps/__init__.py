"""What is added to every ``celery worker`` of an application."""
