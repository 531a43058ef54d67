"""Reading samples in the Airflow UI: the task that waits for people, the queue of documents, and the page."""
