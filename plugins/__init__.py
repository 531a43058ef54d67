"""What Airflow itself must know: step operators, the dump trigger, forms. Light to import: no step code."""
